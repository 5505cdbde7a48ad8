// SPDX-License-Identifier: GPL-2.0-only
//! Sequences of operations against a plain reference that does the same sums with lists.
#![cfg(not(loom))]

use bc_policy::policy::counter::{
    Charged, Counter, Limits, Refusal, Refused, Severity, Statistics, UNLIMITED, Underflow,
};
use bc_policy::policy::lifetime::{Lifetime, Put};
use bc_policy::policy::resource::{self, Events, RELIEFS, Relief};
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What a counter should be: every value in `i128`, nothing saturates.
#[derive(Clone, Debug)]
struct Reference {
    held: i128,
    maxheld: i128,
    minheld: i128,
    barrier: i128,
    limit: i128,
    failcnt: i128,
    barrier_hits: i128,
    forced: i128,
}

impl Reference {
    fn new() -> Self {
        let unlimited = i128::from(UNLIMITED);
        Reference {
            held: 0,
            maxheld: 0,
            minheld: 0,
            barrier: unlimited,
            limit: unlimited,
            failcnt: 0,
            barrier_hits: 0,
            forced: 0,
        }
    }

    fn charge(&mut self, n: u64, severity: Severity, refusal: Refusal) -> Result<Charged, Refused> {
        let n = i128::from(n);
        let fits = match severity {
            Severity::Barrier => self.held + n <= self.barrier,
            Severity::Limit => self.held + n <= self.limit,
            Severity::Force => true,
        };
        if !fits {
            self.failcnt += i128::from(refusal == Refusal::Counts);
            return Err(Refused);
        }
        if severity == Severity::Force {
            self.forced += n;
        }
        let crossed = self.held <= self.barrier && self.held + n > self.barrier;
        self.held += n;
        self.maxheld = self.maxheld.max(self.held);
        self.barrier_hits += i128::from(crossed);
        Ok(if crossed {
            Charged::CrossedBarrier
        } else {
            Charged::Plain
        })
    }

    fn uncharge(&mut self, n: u64) -> Result<u64, Underflow> {
        let left = self.held - i128::from(n);
        self.held = left.max(0);
        self.minheld = self.minheld.min(self.held);
        u64::try_from(left).map_err(|_| Underflow)
    }

    fn statistics(&self) -> Statistics {
        let value = |v: i128| u64::try_from(v).unwrap();
        Statistics {
            held: value(self.held),
            maxheld: value(self.maxheld),
            minheld: value(self.minheld),
            limits: Limits::new(value(self.barrier), value(self.limit)).unwrap(),
            failcnt: value(self.failcnt),
            barrier_hits: value(self.barrier_hits),
            forced: value(self.forced),
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Charge(usize, u64, Severity, Refusal),
    /// A charge that nobody is told of if it does not fit.
    Try(usize, u64),
    Uncharge(usize, u64),
    Limits(usize, u64, u64),
    Reset(usize),
    /// What a task holds goes from one beancounter to another.
    Move(usize, usize, u64),
}

const COUNTERS: usize = 3;

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..20u64,
        1 => Just(UNLIMITED),
        1 => UNLIMITED - 5..UNLIMITED + 5,
        1 => Just(u64::MAX),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0..COUNTERS;
    let severity = prop_oneof![4 => Just(Severity::Barrier), 3 => Just(Severity::Limit), 1 => Just(Severity::Force)];
    let refusal = prop_oneof![Just(Refusal::Counts), Just(Refusal::Falls)];
    prop_oneof![
        6 => (which.clone(), amount(), severity, refusal)
            .prop_map(|(w, n, s, r)| Op::Charge(w, n, s, r)),
        3 => (which.clone(), amount()).prop_map(|(w, n)| Op::Try(w, n)),
        4 => (which.clone(), 0..25u64).prop_map(|(w, n)| Op::Uncharge(w, n)),
        2 => (which.clone(), amount(), amount()).prop_map(|(w, b, l)| Op::Limits(w, b, l)),
        1 => which.clone().prop_map(Op::Reset),
        2 => (which.clone(), which, 1..6u64).prop_map(|(a, b, n)| Op::Move(a, b, n)),
    ]
}

/// Counts its events; gives nothing back.
#[derive(Default)]
struct Counting {
    barrier_hit: AtomicU32,
    limit_hit: AtomicU32,
}

impl Events<(), ()> for Counting {
    fn barrier_hit(&self, _bc: &()) {
        self.barrier_hit.fetch_add(1, Relaxed);
    }

    fn limit_hit(&self, _bc: &(), _n: u64) -> Relief {
        self.limit_hit.fetch_add(1, Relaxed);
        Relief::Nothing
    }
}

/// A charge as the kernel makes it, and as the reference does.
fn charge(
    counter: &Counter,
    events: &Counting,
    reference: &mut Reference,
    n: u64,
    severity: Severity,
    refusal: Refusal,
) -> Result<(), TestCaseError> {
    // Beyond the end of the scale a forced charge saturates, which nobody can pay for.
    let n = if severity == Severity::Force {
        n.min(1000)
    } else {
        n
    };
    let room = i128::from(UNLIMITED) - reference.held;
    if severity == Severity::Force && i128::from(n) > room {
        return Ok(());
    }
    let (hits, limits) = (
        events.barrier_hit.load(Relaxed),
        events.limit_hit.load(Relaxed),
    );
    let expected = reference.charge(n, severity, refusal);
    let got = resource::charge(&(), counter, events, n, severity, refusal);
    prop_assert_eq!(got, expected.map(|_| ()));
    prop_assert_eq!(
        events.barrier_hit.load(Relaxed) - hits,
        u32::from(expected == Ok(Charged::CrossedBarrier))
    );
    prop_assert_eq!(
        events.limit_hit.load(Relaxed) - limits,
        u32::from(expected.is_err() && refusal == Refusal::Counts)
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn counters_do_the_sums(ops in prop::collection::vec(op(), 1..60)) {
        let counter: Vec<Counter> = (0..COUNTERS).map(|_| Counter::default()).collect();
        let events: Vec<Counting> = (0..COUNTERS).map(|_| Counting::default()).collect();
        let mut reference = vec![Reference::new(); COUNTERS];

        for op in ops {
            match op {
                Op::Charge(w, n, severity, refusal) => {
                    charge(&counter[w], &events[w], &mut reference[w], n, severity, refusal)?;
                }
                Op::Try(w, n) => {
                    let expected = reference[w].charge(n, Severity::Barrier, Refusal::Falls);
                    prop_assert_eq!(counter[w].try_charge(n), expected.is_ok());
                }
                Op::Uncharge(w, n) => {
                    let expected = reference[w].uncharge(n);
                    prop_assert_eq!(counter[w].uncharge(n), expected);
                }
                Op::Limits(w, barrier, limit) => {
                    let limits = Limits::new(barrier, limit);
                    prop_assert_eq!(limits.is_some(), barrier <= limit && limit <= UNLIMITED);
                    if let Some(limits) = limits {
                        prop_assert_eq!((limits.barrier(), limits.limit()), (barrier, limit));
                        counter[w].set_limits(limits);
                        reference[w].barrier = barrier.into();
                        reference[w].limit = limit.into();
                    }
                }
                Op::Reset(w) => {
                    counter[w].reset_watermarks();
                    reference[w].maxheld = reference[w].held;
                    reference[w].minheld = reference[w].held;
                }
                Op::Move(from, to, n) => {
                    if from == to || i128::from(n) > reference[from].held {
                        continue;
                    }
                    let before = reference[to].held;
                    charge(&counter[to], &events[to], &mut reference[to], n, Severity::Limit,
                           Refusal::Counts)?;
                    if reference[to].held != before {
                        let expected = reference[from].uncharge(n);
                        prop_assert_eq!(counter[from].uncharge(n), expected);
                    }
                }
            }
            for w in 0..COUNTERS {
                prop_assert_eq!(counter[w].statistics(), reference[w].statistics());
                prop_assert_eq!(counter[w].held(), reference[w].statistics().held);
            }
        }
        // What was charged goes, and nothing is left.
        for counter in &counter {
            prop_assert_eq!(counter.uncharge(counter.held()), Ok(0));
        }
    }
}

#[test]
fn a_forced_charge_saturates_at_the_end_of_the_scale() {
    for (first, second) in [(UNLIMITED, 1), (UNLIMITED - 1, 2), (1, u64::MAX)] {
        let counter = Counter::new();
        for n in [first, second] {
            assert!(counter.charge(n, Severity::Force).is_ok());
        }
        assert_eq!(counter.held(), UNLIMITED);
        assert_eq!(counter.statistics().maxheld, UNLIMITED);
        assert_eq!(counter.statistics().forced, first.saturating_add(second));
    }
}

/// Gives something back a number of times.
struct Giving<'a> {
    counter: &'a Counter,
    times: AtomicU32,
    each: u64,
    asked: AtomicU32,
}

impl Events<(), ()> for Giving<'_> {
    fn limit_hit(&self, _bc: &(), _n: u64) -> Relief {
        self.asked.fetch_add(1, Relaxed);
        if self.times.load(Relaxed) == 0 {
            return Relief::Nothing;
        }
        self.times.fetch_sub(1, Relaxed);
        self.counter.uncharge(self.each).unwrap();
        Relief::Progress
    }
}

proptest! {
    /// A charge succeeds if enough is given back within the attempts it has.
    #[test]
    fn relief_is_asked_for_as_often_as_it_helps(
        times in 0..10u32, each in 0..4u64, n in 1..10u64,
    ) {
        let counter = Counter::new();
        counter.set_limits(Limits::new(40, 40).unwrap());
        prop_assert!(counter.charge(40, Severity::Barrier).is_ok());
        let events = Giving { counter: &counter, times: times.into(), each, asked: 0.into() };

        // Each one asks for more, until nothing is given or it suffices.
        let needed = if each == 0 { u32::MAX } else { n.div_ceil(each) as u32 };
        let fits = needed <= times.min(RELIEFS);
        let got = resource::charge(&(), &counter, &events, n, Severity::Barrier, Refusal::Counts);
        prop_assert_eq!(got.is_ok(), fits);
        let asked = if fits { needed } else if times < RELIEFS { times + 1 } else { RELIEFS };
        prop_assert_eq!(events.asked.load(Relaxed), asked);
        let given = u64::from(if fits { needed } else { times.min(RELIEFS) }) * each;
        let stat = counter.statistics();
        prop_assert_eq!(stat.held, 40 - given + if fits { n } else { 0 });
        prop_assert_eq!(stat.failcnt, u64::from(!fits));
    }
}

/// A beancounter's lifetime with the queue and the registry, one step at a time.
struct Life {
    life: Lifetime,
    counter: Counter,
    queued: Cell<bool>,
    freed: Cell<bool>,
}

impl Life {
    fn after(&self, put: Put) -> Result<(), TestCaseError> {
        if put == Put::Queue {
            prop_assert!(!self.queued.get() && !self.freed.get());
            self.queued.set(true);
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get,
    Put,
    Find,
    Charge,
    Uncharge,
    Configure,
    Unconfigure,
    Reap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Get),
        4 => Just(Step::Put),
        1 => Just(Step::Find),
        1 => Just(Step::Charge),
        2 => Just(Step::Uncharge),
        1 => Just(Step::Configure),
        2 => Just(Step::Unconfigure),
        2 => Just(Step::Reap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// It is freed when nothing refers or is charged to it, and not before.
    #[test]
    fn lives_as_long_as_it_is_used(steps in prop::collection::vec(step(), 1..60)) {
        let it = Life {
            life: Lifetime::default(),
            counter: Counter::new(),
            queued: Cell::new(false),
            freed: Cell::new(false),
        };
        let (mut references, mut charged, mut configured) = (1, 0, false);
        for step in steps {
            let used = references > 0 || configured;
            match step {
                Step::Get if used => {
                    it.life.get();
                    references += 1;
                }
                Step::Put if references > 0 => {
                    references -= 1;
                    it.after(it.life.put())?;
                }
                Step::Find if !it.freed.get() => {
                    it.life.find();
                    references += 1;
                }
                Step::Charge if used => {
                    prop_assert!(it.counter.charge(1, Severity::Barrier).is_ok());
                    charged += 1;
                }
                Step::Uncharge if charged > 0 => {
                    charged -= 1;
                    prop_assert_eq!(it.life.is_idle(), !used);
                    if it.counter.uncharge(1) == Ok(0) && it.life.is_idle() {
                        it.after(it.life.queue())?;
                    }
                }
                Step::Configure if references > 0 => {
                    it.life.configure();
                    configured = true;
                }
                Step::Unconfigure if used => {
                    it.after(it.life.unconfigure())?;
                    configured = false;
                }
                Step::Reap if it.queued.replace(false) => {
                    it.life.dequeue();
                    let claimed = it.life.claim(|| it.counter.held() != 0);
                    prop_assert_eq!(claimed, !used && charged == 0);
                    it.freed.set(claimed);
                }
                _ => (),
            }
            // Nothing is forgotten: what is to go is gone or will be looked at.
            if references == 0 && !configured && charged == 0 {
                prop_assert!(it.freed.get() || it.queued.get());
            }
        }
    }
}

#[test]
fn resources_have_openvz_names() {
    use resource::{NUMPROC, RESERVED, RESOURCES, Resource, Unit};

    assert_eq!(NUMPROC.name(), "numproc");
    assert_eq!(NUMPROC.unit(), Unit::Count);
    assert_eq!(Resource::new(NUMPROC.index() as u32), Some(NUMPROC));
    assert_eq!(Resource::all().count(), RESOURCES);
    assert_eq!(RESOURCES, 25);
    assert!(Resource::new(RESOURCES as u32).is_none());
    for (at, name, unit) in [
        (0, "kmemsize", Unit::Bytes),
        (2, "privvmpages", Unit::Pages),
        (4, RESERVED, Unit::Count),
        (6, "physpages", Unit::Pages),
        (19, "numfile", Unit::Count),
        (24, "swappages", Unit::Pages),
    ] {
        let resource = Resource::all().nth(at).unwrap();
        assert_eq!(
            (resource.index(), resource.name(), resource.unit()),
            (at, name, unit)
        );
    }
}
