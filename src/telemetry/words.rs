//! Holds the words that the code can say to their lists and to the README.

const README: &str = include_str!("../../README.md");

/// The body of `function` in the first `impl` of `owner`, as its source has it.
fn body_of<'a>(source: &'a str, owner: &str, function: &str) -> &'a str {
    let (_, from_owner) = source.split_once(&format!("\nimpl {owner} {{\n")).unwrap();
    let (of_owner, _) = from_owner.split_once("\n}\n").unwrap();
    let (_, from_function) = of_owner.split_once(&format!("fn {function}(")).unwrap();
    from_function.split("\n    }\n").next().unwrap()
}

/// The variants that a function of an enum tells apart, in the order of its source.
pub(crate) fn variants_in(source: &str, owner: &str, function: &str) -> Vec<String> {
    let body = body_of(source, owner, function);
    let named = body.split("Self::").skip(1);
    named
        .map(|rest| rest.split(|it: char| !it.is_alphanumeric()).next().unwrap())
        .map(str::to_owned)
        .collect()
}

/// The words that stand in a function, in alphabetical order, each once.
pub(crate) fn words_in(source: &str, owner: &str, function: &str) -> Vec<String> {
    let body = body_of(source, owner, function);
    let literals = body.split('"').skip(1).step_by(2);
    let mut words: Vec<_> = literals.map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Asserts that the README says what each of `words` means.
pub(crate) fn assert_explained<'a>(words: impl IntoIterator<Item = &'a str>) {
    let (_, section) = README.split_once("\n### Words\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for word in words {
        assert!(
            section.contains(&format!("`{word}`")),
            "the README does not say what `{word}` means"
        );
    }
}

#[test]
fn a_source_is_read_as_it_stands() {
    let source = "\nimpl A {\n    fn other() {\n        \"no\"\n    }\n\n    fn word(self) -> &str {\n\
                  \x20       match self {\n            Self::B | Self::C(_) => \"b\",\n\
                  \x20           Self::D { .. } => \"d\",\n        }\n    }\n}\n";
    assert_eq!(variants_in(source, "A", "word"), ["B", "C", "D"]);
    assert_eq!(words_in(source, "A", "word"), ["b", "d"]);
}

/// The code of a folder of `src`, without its tests.
fn code_of(folder: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path());
    files
        .filter(|file| file.is_file())
        .map(|file| std::fs::read_to_string(file).unwrap())
        .map(|text| text.split("\nmod tests").next().unwrap().to_owned())
        .collect()
}

/// Whether it is written as reasons are.
fn is_word(text: &str) -> bool {
    text.contains('_') && text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_')
}

/// The words of a code's text literals; one that stands before an arrow or a bar, or is the last of a
/// `matches!`, is read and not said.
fn said_in(code: &str) -> Vec<&str> {
    let pieces: Vec<_> = code.split('"').collect();
    let literals = pieces.windows(3).step_by(2).map(|it| {
        let is_read = it[2].starts_with(" =>") || it[2].starts_with(" |") || it[0] == " | ";
        (it[1], is_read)
    });
    let said = literals.filter(|(word, is_read)| !is_read && is_word(word));
    said.map(|(word, _)| word).collect()
}

#[test]
fn every_word_of_a_sign_in_is_explained() {
    let code = code_of("src/login") + &code_of("src/gateway");
    let of_provider = code_of("src/oidc");
    let reasons = of_provider.split("fn reason(").skip(1);
    let reasons = reasons.map(|rest| rest.split("\n    }\n").next().unwrap());
    let words: Vec<_> = reasons.chain([code.as_str()]).flat_map(said_in).collect();
    assert!(words.len() > 50, "{words:?}");
    assert_explained(words);
    assert_explained([
        "asked",
        "asset",
        "client_left",
        "internal",
        "loop",
        "me",
        "session",
        "whole",
    ]);
}
