//! FNV-1a, 64 bits: a digest that is the same on every machine and in every version. Not for secrets.

/// The digest so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        // The offset basis of the published algorithm.
        Fnv1a(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// Takes bytes in.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // The prime of the published algorithm.
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_algorithm() {
        let digest_of = |text: &str| {
            let mut digest = Fnv1a::default();
            digest.write(text.as_bytes());
            digest.finish()
        };
        assert_eq!(digest_of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest_of("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest_of("foobar"), 0x8594_4171_f739_67e8);
    }
}
