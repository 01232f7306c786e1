//! Samples of one figure.

/// Samples, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Returns the median.
    pub fn median(&self) -> f64 {
        self.at(50)
    }

    /// Returns the value that `percent` of a hundred samples do not exceed.
    pub fn at(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last * percent).div_ceil(100)).copied().unwrap_or(f64::NAN)
    }

    /// Combines two series round by round, so that a disturbance of a whole round cancels out.
    pub fn zip(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| with(*one, *two)).collect())
    }
}
