// SPDX-License-Identifier: GPL-2.0-only
//! Resources, their numbers, names and units.

use crate::sys::uapi;
use std::fmt;

/// The largest barrier or limit, and the value that means "unlimited".
pub const UNLIMITED: u64 = uapi::BC_MAXVALUE;

/// What a resource is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Pages of the machine's page size.
    Pages,
    /// Things.
    Count,
}

impl Unit {
    /// The unit's name: `"bytes"`, `"pages"` or `"count"`.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::Pages => "pages",
            Unit::Count => "count",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! resources {
    ($($(#[$doc:meta])* $variant:ident $constant:ident $name:literal $unit:ident,)*) => {
        /// A resource that the kernel may count.
        ///
        /// A newer kernel can know more: [`get_bcstat`](crate::get_bcstat) and
        /// [`set_bclimit`](crate::set_bclimit) take a bare number too, and
        /// [`resources`](crate::resources) asks the kernel what it has.
        ///
        /// ```
        /// use beancounter::{Resource, Unit};
        ///
        /// let resource = Resource::from_name("numproc").unwrap();
        /// assert_eq!(resource, Resource::NumProc);
        /// assert_eq!(resource.number(), 5);
        /// assert_eq!(resource.unit(), Unit::Count);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Resource {
            $($(#[$doc])* $variant = uapi::$constant,)*
        }

        impl Resource {
            /// All resources that this crate knows, by number.
            pub const ALL: &[Resource] = &[$(Resource::$variant),*];

            /// The resource's name in listings, for example `"kmemsize"`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Resource::$variant => $name,)*
                }
            }

            /// What the resource is counted in.
            pub const fn unit(self) -> Unit {
                match self {
                    $(Resource::$variant => Unit::$unit,)*
                }
            }
        }
    };
}

resources! {
    /// Kernel memory.
    KmemSize BC_KMEMSIZE "kmemsize" Bytes,
    /// Pages locked in memory.
    LockedPages BC_LOCKEDPAGES "lockedpages" Pages,
    /// Private writable mappings.
    PrivVmPages BC_PRIVVMPAGES "privvmpages" Pages,
    /// Shared memory.
    ShmPages BC_SHMPAGES "shmpages" Pages,
    /// Tasks, zombies included.
    NumProc BC_NUMPROC "numproc" Count,
    /// User memory in use.
    PhysPages BC_PHYSPAGES "physpages" Pages,
    /// A guarantee of memory.
    VmGuarPages BC_VMGUARPAGES "vmguarpages" Pages,
    /// A guarantee when memory runs out.
    OomGuarPages BC_OOMGUARPAGES "oomguarpages" Pages,
    /// TCP sockets.
    NumTcpSock BC_NUMTCPSOCK "numtcpsock" Count,
    /// File locks.
    NumFlock BC_NUMFLOCK "numflock" Count,
    /// Pseudo-terminals.
    NumPty BC_NUMPTY "numpty" Count,
    /// Queued signals.
    NumSigInfo BC_NUMSIGINFO "numsiginfo" Count,
    /// TCP send buffers.
    TcpSndBuf BC_TCPSNDBUF "tcpsndbuf" Bytes,
    /// TCP receive buffers.
    TcpRcvBuf BC_TCPRCVBUF "tcprcvbuf" Bytes,
    /// Send buffers of other sockets.
    OtherSockBuf BC_OTHERSOCKBUF "othersockbuf" Bytes,
    /// Datagram receive buffers.
    DgramRcvBuf BC_DGRAMRCVBUF "dgramrcvbuf" Bytes,
    /// Sockets other than TCP.
    NumOtherSock BC_NUMOTHERSOCK "numothersock" Count,
    /// Pinned dentries.
    DcacheSize BC_DCACHESIZE "dcachesize" Bytes,
    /// Open files.
    NumFile BC_NUMFILE "numfile" Count,
    /// Netfilter rules.
    NumIptEnt BC_NUMIPTENT "numiptent" Count,
    /// Pages swapped out.
    SwapPages BC_SWAPPAGES "swappages" Pages,
}

impl Resource {
    /// The resource's number in the calls.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The resource of this number; `None` for a reserved or unknown one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.number() == number)
    }

    /// The names of all resources, for a sentence.
    pub(crate) fn names() -> String {
        let names: Vec<&str> = Self::ALL.iter().map(|it| it.name()).collect();
        names.join(", ")
    }

    /// The resource of this name; `None` for `"dummy"` or an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.name() == name)
    }
}

impl From<Resource> for u32 {
    fn from(resource: Resource) -> u32 {
        resource.number()
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Resource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_leave_out_the_reserved_ones() {
        let numbers: Vec<u32> = Resource::ALL.iter().map(|it| it.number()).collect();
        let expected: Vec<u32> = (0..=24).filter(|n| ![4, 20, 21, 22].contains(n)).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn numbers_and_names_round_trip() {
        for &resource in Resource::ALL {
            assert_eq!(Resource::from_number(resource.number()), Some(resource));
            assert_eq!(Resource::from_name(resource.name()), Some(resource));
            // A name has to fit into struct bc_stat with its end.
            assert!(resource.name().len() < 16);
        }
        assert_eq!(Resource::from_number(4), None);
        assert_eq!(Resource::from_number(25), None);
        assert_eq!(Resource::from_name("dummy"), None);
    }
}
