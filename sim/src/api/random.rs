//! Randomness of a cluster, from its seed: UIDs and generated names.

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// The characters of generated names.
const NAME_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A UID, as version 4 has it.
    pub(super) fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 50),
            low & 0xffff_ffff_ffff
        )
    }

    /// The five characters that the server adds to `generateName`.
    pub(super) fn suffix(&mut self) -> String {
        (0..5).filter_map(|_| self.character()).collect()
    }

    fn character(&mut self) -> Option<char> {
        let position = usize::try_from(self.below(NAME_CHARACTERS.len() as u64)).ok()?;
        NAME_CHARACTERS.get(position).map(|byte| char::from(*byte))
    }
}
