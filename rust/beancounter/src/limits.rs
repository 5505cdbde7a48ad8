// SPDX-License-Identifier: GPL-2.0-only
//! The two bounds of a resource.

use crate::resource::UNLIMITED;
use crate::sys::uapi;

/// Barrier and limit of a resource, in its unit:
/// 0 ≤ barrier ≤ limit ≤ [`UNLIMITED`](crate::UNLIMITED).
///
/// ```
/// use beancounter::Limits;
///
/// let limits = Limits::new(40, 50)?;
/// assert_eq!((limits.barrier(), limits.limit()), (40, 50));
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
    #[error("barrier {barrier} is over limit {limit}; valid: 0 to {limit}")]
    BarrierOverLimit {
        /// The barrier that was asked for.
        barrier: u64,
        /// The limit that was asked for.
        limit: u64,
    },
    /// The limit is over the largest value.
    #[error("limit {limit} is too large; valid: 0 to {UNLIMITED}, which means unlimited")]
    TooLarge {
        /// The limit that was asked for.
        limit: u64,
    },
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

impl From<Limits> for uapi::bc_limit {
    fn from(limits: Limits) -> Self {
        Self {
            barrier: limits.barrier,
            limit: limits.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            }
        }
    }

    #[test]
    fn edges() {
        assert_eq!(Limits::new(UNLIMITED, UNLIMITED), Ok(Limits::UNLIMITED));
        assert!(Limits::new(0, 0).is_ok());
        assert_eq!(
            Limits::new(0, UNLIMITED + 1).unwrap_err().to_string(),
            "limit 9223372036854775808 is too large; \
             valid: 0 to 9223372036854775807, which means unlimited"
        );
        assert_eq!(
            Limits::new(2, 1).unwrap_err().to_string(),
            "barrier 2 is over limit 1; valid: 0 to 1"
        );
    }
}
