//! Many measurements of one thing.

/// Measurements, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Half are not above it.
    pub fn median(&self) -> f64 {
        self.at(50)
    }

    /// Of a hundred, this many are not above it.
    pub fn at(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last * percent).div_ceil(100)).copied().unwrap_or(f64::NAN)
    }

    /// Round by round, so that what slowed a whole round down does not count.
    pub fn zip(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| with(*one, *two)).collect())
    }
}
