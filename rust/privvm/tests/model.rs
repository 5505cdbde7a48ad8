// SPDX-License-Identifier: GPL-2.0-only
//! What holds of the model whatever is done.

use privvm::model::*;
use proptest::prelude::*;
use std::ops::Range;

#[derive(Clone, Debug)]
enum Step {
    Mmap(Range<usize>, Kind, Access),
    Munmap(Range<usize>),
    Mprotect(Range<usize>, Access),
    Mremap(Range<usize>, usize, Remap),
    Brk(usize),
    Write(usize),
    Madvise(Range<usize>, Advice),
    Fork,
    Move(Bc),
    Limit(Bc, u64),
}

fn pages() -> impl Strategy<Value = Range<usize>> {
    (0..WINDOW, 1..WINDOW / 2).prop_map(|(start, len)| start..(start + len).min(WINDOW))
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![1 => Just(Access::None), 1 => Just(Access::Read), 3 => Just(Access::Write)]
}

fn step() -> impl Strategy<Value = Step> {
    let kind =
        prop_oneof![3 => Just(Kind::Anonymous), 1 => Just(Kind::File), 1 => Just(Kind::Shared)];
    let how = prop_oneof![
        Just(Remap::InPlace),
        (0..WINDOW).prop_map(Remap::To),
        (0..WINDOW).prop_map(Remap::CopyTo),
    ];
    let advice = prop_oneof![
        Just(Advice::DontFork),
        Just(Advice::DoFork),
        Just(Advice::WipeOnFork),
        Just(Advice::KeepOnFork),
    ];
    prop_oneof![
        6 => (pages(), kind, access()).prop_map(|(at, kind, access)| Step::Mmap(at, kind, access)),
        2 => pages().prop_map(Step::Munmap),
        3 => (pages(), access()).prop_map(|(at, access)| Step::Mprotect(at, access)),
        4 => (pages(), 1..WINDOW / 2, how).prop_map(|(at, len, how)| Step::Mremap(at, len, how)),
        1 => (0..=HEAP).prop_map(Step::Brk),
        2 => (0..WINDOW).prop_map(Step::Write),
        1 => (pages(), advice).prop_map(|(at, advice)| Step::Madvise(at, advice)),
        1 => Just(Step::Fork),
        1 => (HOST..=BCS).prop_map(Step::Move),
        2 => (1..=BCS, 0..400u64).prop_map(|(bc, pages)| Step::Limit(bc, pages)),
    ]
}

/// Mappings that are alike are one, as far as a kernel may merge them.
fn borders(space: &Space) -> Vec<Range<usize>> {
    let mut vmas: Vec<Range<usize>> = Vec::new();
    for (n, page) in space.window.iter().enumerate() {
        let Some(page) = page else { continue };
        let alike = n > 0
            && space.window[n - 1].is_some_and(|before| {
                Page {
                    written: page.written,
                    ..before
                } == *page
            });
        match vmas.last_mut() {
            Some(vma) if alike && vma.end == n => vma.end = n + 1,
            _ => vmas.push(n..n + 1),
        }
    }
    vmas
}

/// What is held is what there is, and no more than there may be.
fn check(counters: &Counters, spaces: &[Space]) {
    for bc in 1..=BCS {
        let found: u64 = spaces.iter().map(|space| space.held(bc)).sum();
        assert_eq!(counters.get(bc).held, found);
    }
}

proptest! {
    #[test]
    fn held_is_what_there_is(steps in prop::collection::vec((0..4usize, step()), 1..120)) {
        let mut counters = Counters::new();
        let mut spaces = vec![Space::new(1, 10), Space::new(2, 10)];
        for (n, step) in steps {
            let n = n % spaces.len();
            let mut space = spaces[n].clone();
            let before = counters.clone();
            let vmas = borders(&space);
            space.merge(&vmas);
            let merged = space.clone();
            let outcome = match step {
                Step::Mmap(at, kind, access) => space.mmap(&mut counters, at, Mapping { kind, access }),
                Step::Munmap(at) => space.munmap(&mut counters, at),
                Step::Mprotect(at, access) => space.mprotect(&mut counters, &vmas, at, access),
                Step::Mremap(at, len, how) => {
                    let end = match how {
                        Remap::InPlace => at.start + len,
                        Remap::To(to) | Remap::CopyTo(to) => to + len.max(at.len()),
                    };
                    if end > WINDOW {
                        continue;
                    }
                    space.mremap(&mut counters, &vmas, at, len, how)
                }
                Step::Brk(pages) => space.brk(&mut counters, pages),
                Step::Write(page) => {
                    space.write(&vmas, page);
                    Ok(())
                }
                Step::Madvise(at, advice) => space.madvise(at, advice),
                Step::Fork if spaces.len() < 4 => {
                    let payer = space.payer;
                    space.fork(&mut counters, payer).map(|child| spaces.push(child))
                }
                Step::Fork => {
                    space.exit(&mut counters);
                    space = Space::new(1, 10);
                    Ok(())
                }
                Step::Move(bc) => {
                    space.payer = bc;
                    Ok(())
                }
                Step::Limit(bc, pages) => {
                    counters.set_barrier(bc, pages);
                    Ok(())
                }
            };
            let refused = (1..=BCS).any(|bc| counters.get(bc).failcnt != before.get(bc).failcnt);
            if refused {
                prop_assert_eq!(outcome, Err(Errno::Nomem));
                // Nothing has changed but that.
                prop_assert_eq!(&space, &merged);
                for bc in 1..=BCS {
                    prop_assert_eq!(counters.get(bc).held, before.get(bc).held);
                }
            }
            spaces[n] = space;
            check(&counters, &spaces);
        }
        for space in spaces {
            space.exit(&mut counters);
        }
        for bc in 1..=BCS {
            prop_assert_eq!(counters.get(bc).held, 0);
        }
    }
}
