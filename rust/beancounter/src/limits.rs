// SPDX-License-Identifier: GPL-2.0-only
//! The two bounds of a resource, and how people write them.

use crate::Resource;
use crate::resource::UNLIMITED;
use crate::sys::uapi;
use std::fmt;
use std::str::FromStr;

const VALID_BOUNDS: &str = "0 to 9223372036854775806, with K, M, G or T for a power of 1024, or \
     unlimited";

/// One bound of a resource, in its unit: 0 to [`UNLIMITED`](crate::UNLIMITED).
///
/// It is written as a decimal number, with K, M, G or T (or k, m, g, t) for a
/// power of 1024, or as `unlimited`, and printed as the shortest of these that
/// is exact:
///
/// ```
/// use beancounter::Bound;
///
/// let bound: Bound = "3072k".parse()?;
/// assert_eq!(bound.get(), 3 << 20);
/// assert_eq!(bound.to_string(), "3M");
/// assert_eq!("unlimited".parse(), Ok(Bound::UNLIMITED));
/// assert!("1.5G".parse::<Bound>().is_err());
/// # Ok::<(), beancounter::BoundError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound(u64);

/// Not a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// The text is no number in one of the forms.
    #[error("not a bound (EINVAL); valid: {VALID_BOUNDS}")]
    Malformed,
    /// The number is over the largest one.
    #[error("too large a bound (EINVAL); valid: {VALID_BOUNDS}")]
    TooLarge,
}

/// Suffixes and the power of two that each stands for, the largest first.
const SUFFIXES: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl Bound {
    /// No bound.
    pub const UNLIMITED: Self = Self(UNLIMITED);

    /// The bound `value`, if it is one.
    pub const fn new(value: u64) -> Result<Self, BoundError> {
        if value > UNLIMITED {
            return Err(BoundError::TooLarge);
        }
        Ok(Self(value))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Reads no sign, no space and no fraction.
impl FromStr for Bound {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        let (digits, shift) = SUFFIXES
            .iter()
            .find_map(|&(suffix, shift)| {
                let digits = text.strip_suffix([suffix, suffix.to_ascii_lowercase()])?;
                Some((digits, shift))
            })
            .unwrap_or((text, 0));
        // `parse` alone would take a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BoundError::Malformed);
        }
        // All that can be wrong with digits is that there are too many.
        let number: u64 = digits.parse().map_err(|_| BoundError::TooLarge)?;
        let value = number.checked_mul(1 << shift).ok_or(BoundError::TooLarge)?;
        Self::new(value)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNLIMITED {
            return f.pad("unlimited");
        }
        let exact = |shift: u32| self.0 != 0 && self.0 % (1 << shift) == 0;
        match SUFFIXES.iter().find(|&&(_, shift)| exact(shift)) {
            Some((suffix, shift)) => f.pad(&format!("{}{suffix}", self.0 >> shift)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// Barrier and limit of a resource, in its unit:
/// 0 ≤ barrier ≤ limit ≤ [`UNLIMITED`](crate::UNLIMITED).
///
/// The pair is written `BARRIER:LIMIT`, or `BARRIER` alone if both are equal,
/// each as a [`Bound`], and printed in the long form:
///
/// ```
/// use beancounter::Limits;
///
/// let limits = Limits::new(40, 50)?;
/// assert_eq!((limits.barrier(), limits.limit()), (40, 50));
/// assert_eq!(limits, "40:50".parse()?);
/// assert_eq!("1024".parse::<Limits>()?.to_string(), "1K:1K");
/// assert!(Limits::new(51, 50).is_err());
/// # Ok::<(), beancounter::LimitsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Limits {
    barrier: u64,
    limit: u64,
}

/// Not a pair of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The barrier is over the limit.
    #[error("barrier {barrier} is over limit {limit} (EINVAL); valid: 0 to {limit}")]
    BarrierOverLimit {
        /// The barrier that was asked for.
        barrier: u64,
        /// The limit that was asked for.
        limit: u64,
    },
    /// The limit is over the largest value.
    #[error("limit {limit} is too large (EINVAL); valid: 0 to {UNLIMITED}, which means unlimited")]
    TooLarge {
        /// The limit that was asked for.
        limit: u64,
    },
    /// One of the two is no bound.
    #[error(transparent)]
    Bound(#[from] BoundError),
}

impl Limits {
    /// No bound.
    pub const UNLIMITED: Self = Self {
        barrier: UNLIMITED,
        limit: UNLIMITED,
    };

    /// The pair, if it is one.
    pub const fn new(barrier: u64, limit: u64) -> Result<Self, LimitsError> {
        if limit > UNLIMITED {
            return Err(LimitsError::TooLarge { limit });
        }
        if barrier > limit {
            return Err(LimitsError::BarrierOverLimit { barrier, limit });
        }
        Ok(Self { barrier, limit })
    }

    /// The bound of ordinary charges.
    pub const fn barrier(self) -> u64 {
        self.barrier
    }

    /// The bound of charges that the kernel would rather not refuse.
    pub const fn limit(self) -> u64 {
        self.limit
    }
}

impl FromStr for Limits {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Self, LimitsError> {
        let (barrier, limit) = text.split_once(':').unwrap_or((text, text));
        let (barrier, limit): (Bound, Bound) = (barrier.parse()?, limit.parse()?);
        Self::new(barrier.get(), limit.get())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both are bounds: that is what a pair is made of.
        write!(f, "{}:{}", Bound(self.barrier), Bound(self.limit))
    }
}

impl From<Limits> for uapi::bc_limit {
    fn from(limits: Limits) -> Self {
        Self {
            barrier: limits.barrier,
            limit: limits.limit,
        }
    }
}

/// A resource and the bounds it is to have, written `RESOURCE=BARRIER[:LIMIT]`.
///
/// ```
/// use beancounter::{Limits, Resource, Setting};
///
/// let setting: Setting = "numproc=40:50".parse()?;
/// assert_eq!(setting.resource, Resource::NumProc);
/// assert_eq!(setting.limits, Limits::new(40, 50)?);
/// assert_eq!(setting.to_string(), "numproc=40:50");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// The resource.
    pub resource: Resource,
    /// Its bounds.
    pub limits: Limits,
}

/// Not a resource and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no `=`.
    #[error("a resource without bounds (EINVAL); valid: RESOURCE=BARRIER[:LIMIT]")]
    NoBounds,
    /// No resource has the name.
    #[error("no resource has this name (EINVAL); valid: {}", Resource::names())]
    UnknownResource,
    /// The bounds are none.
    #[error(transparent)]
    Limits(#[from] LimitsError),
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (name, limits) = text.split_once('=').ok_or(SettingError::NoBounds)?;
        Ok(Self {
            resource: Resource::from_name(name).ok_or(SettingError::UnknownResource)?,
            limits: limits.parse()?,
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.resource, self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of all lengths, and those where the suffixes begin.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift),
            (0u64..1 << 12, 0u32..52).prop_map(|(number, shift)| number << shift),
        ]
    }

    fn bounds() -> impl Strategy<Value = Limits> {
        [number(), number()].prop_map(|[one, two]| {
            let [one, two] = [one.min(UNLIMITED), two.min(UNLIMITED)];
            Limits::new(one.min(two), one.max(two)).unwrap()
        })
    }

    proptest! {
        #[test]
        fn made_iff_valid(barrier: u64, limit: u64) {
            match Limits::new(barrier, limit) {
                Ok(limits) => {
                    prop_assert!(barrier <= limit && limit <= i64::MAX as u64);
                    prop_assert_eq!((limits.barrier(), limits.limit()), (barrier, limit));
                    let raw = uapi::bc_limit::from(limits);
                    prop_assert_eq!((raw.barrier, raw.limit), (barrier, limit));
                }
                Err(LimitsError::TooLarge { .. }) => prop_assert!(limit > i64::MAX as u64),
                Err(LimitsError::BarrierOverLimit { .. }) => prop_assert!(barrier > limit),
                Err(LimitsError::Bound(_)) => prop_assert!(false),
            }
        }

        #[test]
        fn bound_round_trips(number in number()) {
            match Bound::new(number) {
                Ok(bound) => {
                    prop_assert_eq!(bound.get(), number);
                    prop_assert_eq!(bound.to_string().parse(), Ok(bound));
                    // In digits, and with the suffix in small letters, too.
                    prop_assert_eq!(number.to_string().parse(), Ok(bound));
                    prop_assert_eq!(bound.to_string().to_ascii_lowercase().parse(), Ok(bound));
                }
                Err(_) => prop_assert!(number > UNLIMITED),
            }
        }

        #[test]
        fn a_suffix_multiplies(number: u32, suffix in "[KMGTkmgt]") {
            let power = "KMGT".find(&suffix.to_ascii_uppercase()).unwrap() as u32 + 1;
            let value = u128::from(number) * 1024u128.pow(power);
            let expected = u64::try_from(value).map_err(|_| BoundError::TooLarge).and_then(Bound::new);
            prop_assert_eq!(format!("{number}{suffix}").parse(), expected);
        }

        #[test]
        fn settings_round_trip(
            resource in proptest::sample::select(Resource::ALL),
            limits in bounds(),
        ) {
            prop_assert_eq!(limits.to_string().parse(), Ok(limits));
            let setting = Setting { resource, limits };
            prop_assert_eq!(setting.to_string().parse(), Ok(setting));
        }

        #[test]
        fn what_is_read_is_printed_and_read_again(text in "[a-z]{1,12}=[0-9]{1,20}[KMGT]?(:[0-9]{1,20}[KMGT]?)?") {
            if let Ok(setting) = text.parse::<Setting>() {
                prop_assert_eq!(setting.to_string().parse(), Ok(setting));
            }
        }
    }

    #[test]
    fn edges() {
        assert_eq!(Limits::new(UNLIMITED, UNLIMITED), Ok(Limits::UNLIMITED));
        assert!(Limits::new(0, 0).is_ok());
        assert_eq!(
            Limits::new(0, UNLIMITED + 1).unwrap_err().to_string(),
            "limit 9223372036854775808 is too large (EINVAL); \
             valid: 0 to 9223372036854775807, which means unlimited"
        );
        assert_eq!(
            Limits::new(2, 1).unwrap_err().to_string(),
            "barrier 2 is over limit 1 (EINVAL); valid: 0 to 1"
        );
    }

    #[test]
    fn bounds_are_written_in_their_forms() {
        for (text, value, printed) in [
            ("0", 0, "0"),
            ("0T", 0, "0"),
            ("007", 7, "7"),
            ("1000", 1000, "1000"),
            ("1024", 1 << 10, "1K"),
            ("1536K", 1536 << 10, "1536K"),
            ("1024k", 1 << 20, "1M"),
            ("5g", 5 << 30, "5G"),
            ("3T", 3 << 40, "3T"),
            ("8388607T", 8_388_607 << 40, "8388607T"),
            ("9223372036854775806", UNLIMITED - 1, "9223372036854775806"),
            ("9223372036854775807", UNLIMITED, "unlimited"),
            ("unlimited", UNLIMITED, "unlimited"),
        ] {
            let bound: Bound = text.parse().unwrap();
            assert_eq!(
                (bound.get(), bound.to_string()),
                (value, printed.to_owned())
            );
        }
        for text in [
            "",
            "K",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1 K",
            "1.5K",
            "1KK",
            "1P",
            "1B",
            "0x1",
            "١",
            "1Ж",
            "Unlimited",
            "unlimitedK",
            "∞",
        ] {
            assert_eq!(
                text.parse::<Bound>(),
                Err(BoundError::Malformed),
                "{text:?}"
            );
        }
        for text in [
            "9223372036854775808",
            "18446744073709551616",
            "8388608T",
            "18446744073709551615T",
        ] {
            assert_eq!(text.parse::<Bound>(), Err(BoundError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn settings_are_refused_whole() {
        let problem = |text: &str| text.parse::<Setting>().unwrap_err().to_string();
        assert_eq!(
            problem("numproc"),
            "a resource without bounds (EINVAL); valid: RESOURCE=BARRIER[:LIMIT]"
        );
        for text in ["=1", "dummy=1", "NUMPROC=1", "5=1", " numproc=1"] {
            assert!(
                problem(text).starts_with(
                    "no resource has this name (EINVAL); valid: kmemsize, lockedpages, "
                ),
                "{text}"
            );
        }
        assert!(problem("x=1").ends_with(", numiptent, swappages"));
        for text in [
            "numproc=",
            "numproc=:",
            "numproc=1:",
            "numproc=:1",
            "numproc=1:2:3",
            "numproc=1=2",
        ] {
            assert_eq!(
                problem(text),
                "not a bound (EINVAL); valid: 0 to 9223372036854775806, with K, M, G or T for a \
                 power of 1024, or unlimited",
                "{text}"
            );
        }
        assert_eq!(
            problem("numproc=2K:1K"),
            "barrier 2048 is over limit 1024 (EINVAL); valid: 0 to 1024"
        );
        assert_eq!(
            problem("numproc=unlimited:5"),
            "barrier 9223372036854775807 is over limit 5 (EINVAL); valid: 0 to 5"
        );
    }
}
