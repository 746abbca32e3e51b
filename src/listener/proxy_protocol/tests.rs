//! Headers byte by byte: which are whole, which are wrong, and from which byte on.

use proptest::prelude::*;

use super::*;

/// A header of version 2.
fn binary(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([version_and_command, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 1, 0xbb];

fn six(source: &str) -> Vec<u8> {
    let mut block = source.parse::<Ipv6Addr>().unwrap().octets().to_vec();
    block.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    block.extend([0x1f, 0x90, 1, 0xbb]);
    block
}

fn with_values(values: &[u8]) -> Vec<u8> {
    [&FOUR[..], values].concat()
}

fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let four = Some("192.0.2.1:8080");
    let six_ = Some("[2001:db8::1]:8080");
    let line = |line: &str| format!("{line}\r\n").into_bytes();
    let mut checked = binary(0x21, 0x11, &with_values(&[3, 0, 4, 0, 0, 0, 0, 4, 0, 1, 9]));
    let sum = checksum(&[&checked]);
    checked[FIXED + FOUR.len() + 3..][..4].copy_from_slice(&sum.to_be_bytes());
    let longest = "f".repeat(107 - "PROXY UNKNOWN \r\n".len());
    vec![
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 8080 443"), four),
        (line("PROXY TCP6 2001:db8::1 2001:DB8::2 8080 443"), six_),
        (line("PROXY TCP6 ::ffff:192.0.2.1 ::1 8080 443"), four),
        (
            line("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535"),
            Some("255.255.255.255:0"),
        ),
        (line("PROXY UNKNOWN"), None),
        (line("PROXY UNKNOWN who knows"), None),
        (line(&format!("PROXY UNKNOWN {longest}")), None),
        (binary(0x21, 0x11, &FOUR), four),
        (binary(0x21, 0x21, &six("2001:db8::1")), six_),
        (binary(0x21, 0x21, &six("::ffff:192.0.2.1")), four),
        (binary(0x21, 0x11, &with_values(&[4, 0, 0])), four),
        (
            binary(0x21, 0x11, &with_values(&[0xea, 0, 2, 1, 2, 4, 0, 1, 0])),
            four,
        ),
        (checked, four),
        (binary(0x21, 0x00, &[]), None),
        (binary(0x21, 0x00, &[1, 2, 3]), None),
        (binary(0x20, 0x00, &[]), None),
        (binary(0x20, 0x31, &[7; 216]), None),
        (binary(0x20, 0x11, &FOUR), None),
        (binary(0x20, 0x00, &[7; LONGEST_BLOCK]), None),
    ]
}

#[test]
fn a_header_tells_where_it_ends_and_whom_it_is_from() {
    for (header, source) in good() {
        let parsed = parse(&header);
        let length = header.len();
        let source = source.map(|source| source.parse().unwrap());
        assert_eq!(parsed, Ok(Parsed::Header { length, source }), "{header:?}");
        let followed = [&header[..], b"PROXY \x16\x03\x01"].concat();
        assert_eq!(parse(&followed), parsed, "what follows is not looked at");
        for end in 0..length {
            assert_eq!(
                parse(&header[..end]),
                Ok(Parsed::Incomplete),
                "{:?}",
                &header[..end]
            );
        }
    }
}

#[test]
fn what_is_no_header_is_a_fault_from_its_first_wrong_byte_on() {
    for bytes in [
        &b"\x16\x03\x01"[..],
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXX",
        b"PROXY\tTCP4",
        b" PROXY",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\r\n\r\nP",
        b"\0",
    ] {
        assert_eq!(parse(bytes), Err(HeaderFault::Absent), "{bytes:?}");
    }
}

#[test]
fn a_line_is_written_in_one_way() {
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 443 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 443 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 8080 443\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 8080 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +8080 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 -443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 08080 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 00\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  443\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 8080 443\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 8080 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 8080 443\r\n",
        "PROXY TCP4 192.0.2.1 2001:db8::2 8080 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 8080 443\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 8080 443\r\n",
        "PROXY TCP6 [::1] ::1 8080 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 443\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 443\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080\t443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 443\0\r\n",
        "PROXY UNKNOWN \u{e4}\r\n",
        "PROXY UNKNOWN\n",
        "PROXY \r\n",
    ] {
        let fault = parse(line.as_bytes()).unwrap_err();
        assert!(
            matches!(fault, HeaderFault::Line | HeaderFault::Family),
            "{line:?}: {fault}"
        );
    }
    for protocol in [
        "UDP4", "UDP6", "TCP", "TCP5", "tcp4", "UNIX", "unknown", "UNKNOWNX",
    ] {
        let line = format!("PROXY {protocol} 192.0.2.1 192.0.2.2 8080 443\r\n");
        assert_eq!(
            parse(line.as_bytes()),
            Err(HeaderFault::Family),
            "{protocol}"
        );
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(93));
    assert_eq!(long.len(), 109);
    assert_eq!(parse(long.as_bytes()), Err(HeaderFault::Line));
    assert_eq!(parse(&long.as_bytes()[..106]), Ok(Parsed::Incomplete));
    assert_eq!(parse(&long.as_bytes()[..107]), Err(HeaderFault::Line));
}

#[test]
fn a_binary_header_is_about_tcp_over_ip_and_as_long_as_it_says() {
    use HeaderFault as Fault;
    for (header, fault) in [
        (binary(0x11, 0x11, &FOUR), Fault::Version),
        (binary(0x31, 0x11, &FOUR), Fault::Version),
        (binary(0x22, 0x11, &FOUR), Fault::Command),
        (binary(0x2f, 0x11, &FOUR), Fault::Command),
        (binary(0x21, 0x12, &FOUR), Fault::Family),
        (binary(0x21, 0x10, &FOUR), Fault::Family),
        (binary(0x21, 0x22, &six("::1")), Fault::Family),
        (binary(0x21, 0x31, &[7; 216]), Fault::Family),
        (binary(0x21, 0x32, &[7; 216]), Fault::Family),
        (binary(0x21, 0x01, &FOUR), Fault::Family),
        (binary(0x21, 0x41, &FOUR), Fault::Family),
        (binary(0x21, 0xff, &FOUR), Fault::Family),
        (binary(0x21, 0x11, &FOUR[..11]), Fault::Length),
        (binary(0x21, 0x11, &[]), Fault::Length),
        (binary(0x21, 0x21, &FOUR), Fault::Length),
        (binary(0x20, 0x00, &[7; LONGEST_BLOCK + 1]), Fault::Length),
        (binary(0x21, 0x11, &with_values(&[4])), Fault::Values),
        (binary(0x21, 0x11, &with_values(&[4, 0])), Fault::Values),
        (binary(0x21, 0x11, &with_values(&[4, 0, 1])), Fault::Values),
        (
            binary(0x21, 0x11, &with_values(&[4, 0xff, 0xff, 0])),
            Fault::Values,
        ),
        (
            binary(0x21, 0x11, &with_values(&[3, 0, 3, 1, 2, 3])),
            Fault::Values,
        ),
        (
            binary(0x21, 0x11, &with_values(&[3, 0, 4, 1, 2, 3, 4])),
            Fault::Checksum,
        ),
    ] {
        assert_eq!(parse(&header), Err(fault), "{header:?}");
    }
    // Said at once, not after all of it was waited for.
    let mut endless = binary(0x21, 0x11, &[]);
    endless[14..].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(parse(&endless), Err(Fault::Length));
}

#[test]
fn a_checksum_is_castagnolis() {
    assert_eq!(checksum(&[b"1234", b"56789"]), 0xe306_9283);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_more_of_them_only_decide_once(
        start in 0_usize..3,
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let start: &[u8] = [&b""[..], b"PROXY TCP4 ", SIGNATURE][start];
        let bytes = [start, &tail].concat();
        let mut decided = None;
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end]);
            if let Some(before) = decided {
                prop_assert_eq!(before, parsed);
            } else if parsed != Ok(Parsed::Incomplete) {
                decided = Some(parsed);
            }
            if let Ok(Parsed::Header { length, .. }) = parsed {
                prop_assert!(length <= end && length <= LONGEST_HEADER);
            }
        }
    }
}
