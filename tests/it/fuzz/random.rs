//! Numbers that look random and are the same in every run: xorshift64* (Vigna 2016). For choosing
//! inputs, and for nothing that must be a secret.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Zero would stay zero, and small seeds take a while to spread.
        let mut random = Self(seed ^ 0x9E37_79B9_7F4A_7C15 | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`, which is more than zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from((self.next() >> 16) % end).unwrap()
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(crate) fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let (mut one, mut other) = (Random::new(7), Random::new(7));
    let numbers: Vec<_> = (0..8).map(|_| one.below(100)).collect();
    assert_eq!(
        numbers,
        (0..8).map(|_| other.below(100)).collect::<Vec<_>>()
    );
    assert_ne!(numbers, [numbers[0]; 8]);
    assert_ne!(Random::new(8).next(), Random::new(7).next());
}
