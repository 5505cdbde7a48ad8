// SPDX-License-Identifier: GPL-2.0-only
//! Identifiers.

use crate::sys::uapi;
use std::fmt;
use std::str::FromStr;

/// The id of a beancounter: 0, the host, to 2147483647.
///
/// ```
/// use beancounter::BcId;
///
/// let id: BcId = "100".parse()?;
/// assert_eq!(id, BcId::new(100)?);
/// assert!(BcId::HOST.is_host());
/// assert!(BcId::new(0x8000_0000).is_err());
/// # Ok::<(), beancounter::IdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct BcId(u32);

/// Not the id of a beancounter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the id of a beancounter (EINVAL); valid: a decimal number, 0 (the host) to 2147483647"
)]
pub struct IdError;

impl BcId {
    /// The host: not an object, nothing is counted or limited for it.
    pub const HOST: Self = Self(uapi::BCID_HOST);
    /// The largest id.
    pub const MAX: Self = Self(uapi::BCID_MAX);

    /// The id `number`, if it is one.
    pub const fn new(number: u32) -> Result<Self, IdError> {
        if number > Self::MAX.0 {
            return Err(IdError);
        }
        Ok(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether this is the host.
    pub const fn is_host(self) -> bool {
        self.0 == Self::HOST.0
    }
}

impl TryFrom<u32> for BcId {
    type Error = IdError;

    fn try_from(number: u32) -> Result<Self, IdError> {
        Self::new(number)
    }
}

impl From<BcId> for u32 {
    fn from(id: BcId) -> u32 {
        id.0
    }
}

/// Reads decimal digits only: no sign, no space.
impl FromStr for BcId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IdError);
        }
        Self::new(text.parse().map_err(|_| IdError)?)
    }
}

impl fmt::Display for BcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        assert_eq!(BcId::MAX.get(), 0x7fff_ffff);
        assert_eq!(BcId::new(0x7fff_ffff), Ok(BcId::MAX));
        assert_eq!(BcId::new(0x8000_0000), Err(IdError));
        assert_eq!(BcId::new(uapi::BCID_SELF), Err(IdError));
        assert_eq!("0".parse(), Ok(BcId::HOST));
        assert_eq!("2147483647".parse(), Ok(BcId::MAX));
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "2147483648",
            "4294967295",
            "١",
        ] {
            assert_eq!(text.parse::<BcId>(), Err(IdError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn number_round_trips(number: u32) {
            match BcId::new(number) {
                Ok(id) => {
                    prop_assert!(number <= 0x7fff_ffff);
                    prop_assert_eq!(u32::from(id), number);
                    prop_assert_eq!(id.to_string().parse(), Ok(id));
                }
                Err(IdError) => prop_assert!(number > 0x7fff_ffff),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Ok(id) = text.parse::<BcId>() {
                prop_assert!(text.trim_start_matches('0').parse::<u32>().unwrap_or(0) == id.get());
            }
        }

        #[test]
        fn digits_are_read_iff_in_range(text in "[0-9]{1,12}") {
            let number: u64 = text.parse().unwrap();
            let read = text.parse::<BcId>().ok().map(|id| u64::from(id.get()));
            prop_assert_eq!(read, (number <= 0x7fff_ffff).then_some(number));
        }
    }
}
