//! Values that differ from grading to grading.
//!
//! ```yaml
//! varies:
//!   GREETING: [good morning, good evening, welcome]     # the first is what the learner sees
//!   PORT: {shown: 8080, from: 20000, to: 29999}
//! ```
//!
//! `((GREETING))` then stands for the value, in exercise.yaml and in the files that the exercise sets up. A check uses what
//! the learner sees; grading with a seed uses others, the same ones for the same seed. An answer that repeats a value
//! instead of asking the cluster for it fails then.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The variables of an exercise.
pub type Varies = BTreeMap<String, Range>;

/// What a variable may be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Range {
    /// One of these texts.
    Texts(Vec<String>),
    /// One of these numbers.
    Numbers {
        /// What the learner sees.
        shown: u32,
        /// The least other value.
        from: u32,
        /// The greatest.
        to: u32,
    },
}

/// The values of an exercise's variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl Range {
    /// Why nothing can be drawn from it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Range::Texts(texts) if texts.len() < 2 => Some("there is nothing to choose from: give two texts or more"),
            Range::Numbers { from, to, .. } if from >= to => Some("`to` must be greater than `from`"),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Range::Texts(texts) => texts.first().cloned().unwrap_or_default(),
            Range::Numbers { shown, .. } => shown.to_string(),
        }
    }

    /// Another value than the one that is shown.
    fn draw(&self, random: u64) -> String {
        match self {
            Range::Texts(texts) => {
                let others = texts.len().saturating_sub(1).max(1) as u64;
                let chosen = usize::try_from(1 + random % others).unwrap_or(1);
                texts.get(chosen).or(texts.first()).cloned().unwrap_or_default()
            }
            Range::Numbers { shown, from, to } => {
                let size = u64::from(to.saturating_sub(*from)) + 1;
                let drawn = u64::from(*from) + random % size;
                let drawn = if drawn == u64::from(*shown) { u64::from(*from) + (random + 1) % size } else { drawn };
                drawn.to_string()
            }
        }
    }
}

impl Values {
    /// What the learner sees.
    pub fn shown(varies: &Varies) -> Values {
        Values(varies.iter().map(|(name, range)| (name.clone(), range.shown())).collect())
    }

    /// What a grading with `seed` uses for `exercise`.
    pub fn drawn(varies: &Varies, exercise: &str, seed: u32) -> Values {
        let draw =
            |(name, range): (&String, &Range)| (name.clone(), range.draw(random(seed, &format!("{exercise}/{name}"))));
        Values(varies.iter().map(draw).collect())
    }

    /// The text with the values in their places.
    pub fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("(({name}))"), value))
    }
}

/// A number that depends on both and on nothing else: FNV-1a over the name, then a step of SplitMix64 (Steele, Lea and
/// Flood 2014), which mixes well enough for choosing.
fn random(seed: u32, name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ u64::from(seed)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varies() -> Varies {
        let texts = ["good morning", "good evening", "welcome"].map(str::to_owned).to_vec();
        BTreeMap::from([
            ("GREETING".to_owned(), Range::Texts(texts)),
            ("PORT".to_owned(), Range::Numbers { shown: 8080, from: 8079, to: 8081 }),
        ])
    }

    #[test]
    fn a_learner_sees_the_first_and_a_grading_uses_another() {
        let text = "say ((GREETING)) at ((PORT)), not ((NOTHING))";
        assert_eq!(Values::shown(&varies()).fill(text), "say good morning at 8080, not ((NOTHING))");
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let filled = Values::drawn(&varies(), "e", seed).fill(text);
            assert!(!filled.contains("morning") && !filled.contains("8080"), "{filled}");
            assert_eq!(filled, Values::drawn(&varies(), "e", seed).fill(text), "the same seed, the same values");
            seen.insert(filled);
        }
        assert_eq!(seen.len(), 4, "every other value is drawn: {seen:?}");
    }

    #[test]
    fn nothing_is_drawn_from_a_range_of_one() {
        assert!(Range::Texts(vec!["a".to_owned()]).fault().is_some());
        assert!(Range::Numbers { shown: 1, from: 2, to: 2 }.fault().is_some());
        assert!(varies().values().all(|range| range.fault().is_none()));
    }
}
