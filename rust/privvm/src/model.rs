// SPDX-License-Identifier: GPL-2.0-only
//! Beancounters, address spaces and their pages.

use std::ops::Range;

/// How many beancounters there are, the host not counted.
pub const BCS: usize = 3;

/// A beancounter: 1 to [`BCS`], or `HOST`.
pub type Bc = usize;

/// Nobody is charged.
pub const HOST: Bc = 0;

/// How many pages the part of an address space has that is mapped at will.
pub const WINDOW: usize = 128;

/// How many pages the heap of `brk()` may have.
pub const HEAP: usize = 48;

/// Why an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// There is no room, or nothing is mapped there.
    Nomem,
    /// Nothing is mapped there.
    Fault,
    /// The ranges overlap.
    Inval,
}

/// What an operation does.
pub type Outcome = Result<(), Errno>;

/// What is behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anonymous memory, or that of a private mapping of `/dev/zero`.
    Anonymous,
    /// A file that is mapped privately.
    File,
    /// Memory that is shared.
    Shared,
}

/// What is to become of pages in a child, for `madvise()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// `MADV_DONTFORK`: nothing is mapped there.
    DontFork,
    /// `MADV_DOFORK`: that is undone.
    DoFork,
    /// `MADV_WIPEONFORK`: they are empty.
    WipeOnFork,
    /// `MADV_KEEPONFORK`: that is undone.
    KeepOnFork,
}

/// What may be done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// A page that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What is behind it.
    pub kind: Kind,
    /// What may be done with it.
    pub access: Access,
    /// Whether a child has none.
    pub dont_fork: bool,
    /// Whether a child has an empty one.
    pub wipe_on_fork: bool,
    /// Whom it is charged to.
    pub owner: Bc,
    /// Whether something was written to the mapping that it belongs to.
    pub written: bool,
    /// Whether it was moved after that.
    pub moved: bool,
}

impl Page {
    fn new(kind: Kind, access: Access) -> Self {
        Page {
            kind,
            access,
            dont_fork: false,
            wipe_on_fork: false,
            owner: HOST,
            written: false,
            moved: false,
        }
    }

    /// Whether it is charged if somebody is there to be charged.
    fn is_private(&self) -> bool {
        self.kind != Kind::Shared && self.access == Access::Write
    }
}

/// What a beancounter holds, and may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Pages that are charged.
    pub held: u64,
    /// The bound of all that the model does.
    pub barrier: u64,
    /// How many charges were refused.
    pub failcnt: u64,
}

/// The beancounters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([Counter; BCS + 1]);

impl Counters {
    /// None of them holds anything, nor has a bound.
    pub fn new() -> Self {
        let counter = Counter {
            barrier: i64::MAX as u64,
            ..Counter::default()
        };
        Counters([counter; BCS + 1])
    }

    /// One of them.
    pub fn get(&self, bc: Bc) -> Counter {
        self.0[bc]
    }

    /// Sets the bound.
    pub fn set_barrier(&mut self, bc: Bc, barrier: u64) {
        self.0[bc].barrier = barrier;
    }

    fn charge(&mut self, bc: Bc, pages: usize) -> Outcome {
        let counter = &mut self.0[bc];
        if bc == HOST || pages == 0 {
            return Ok(());
        }
        if counter.held + pages as u64 > counter.barrier {
            counter.failcnt += 1;
            return Err(Errno::Nomem);
        }
        counter.held += pages as u64;
        Ok(())
    }

    fn uncharge(&mut self, bc: Bc, pages: usize) {
        if bc != HOST {
            self.0[bc].held -= pages as u64;
        }
    }

    /// Sets how many charges were refused.
    pub fn set_failcnt(&mut self, bc: Bc, failcnt: u64) {
        self.0[bc].failcnt = failcnt;
    }

    /// A charge that is not refused.
    pub fn add(&mut self, bc: Bc, pages: usize) {
        if bc != HOST {
            self.0[bc].held += pages as u64;
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

/// Mappings of the kernel, as ranges of pages of the window, in order.
pub type Borders = [Range<usize>];

/// The mapping that a page is in.
fn around(borders: &Borders, page: usize) -> Option<Range<usize>> {
    borders.iter().find(|vma| vma.contains(&page)).cloned()
}

/// Takes a range out of all mappings.
fn cut(borders: &mut Vec<Range<usize>>, hole: &Range<usize>) {
    let parts = |vma: Range<usize>| {
        [
            vma.start..vma.end.min(hole.start),
            vma.start.max(hole.end)..vma.end,
        ]
    };
    *borders = std::mem::take(borders)
        .into_iter()
        .flat_map(parts)
        .filter(|vma| !vma.is_empty())
        .collect();
}

/// An address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Whom new pages are charged to.
    pub payer: Bc,
    /// The part that is mapped at will.
    pub window: Vec<Option<Page>>,
    /// The heap, as long as it is.
    pub heap: Vec<Page>,
    /// What the program itself has: private memory by beancounter.
    pub program: [usize; BCS + 1],
}

/// The new mapping of [`Space::mmap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What is behind it.
    pub kind: Kind,
    /// What may be done with it.
    pub access: Access,
}

/// How [`Space::mremap`] is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remap {
    /// Where it is, or not at all.
    InPlace,
    /// To this page of the window.
    To(usize),
    /// To this page of the window, and what was there before stays, without content.
    CopyTo(usize),
}

impl Space {
    /// One with an empty window, and this much private memory of nobody.
    pub fn new(payer: Bc, program: usize) -> Self {
        let mut pages = [0; BCS + 1];
        pages[HOST] = program;
        Space {
            payer,
            window: vec![None; WINDOW],
            heap: Vec::new(),
            program: pages,
        }
    }

    /// What was written to one page of a mapping, was to all: tells the model what mappings are.
    pub fn merge(&mut self, borders: &Borders) {
        for vma in borders {
            let written = self.window[vma.clone()]
                .iter()
                .flatten()
                .any(|page| page.written);
            for page in self.window[vma.clone()].iter_mut().flatten() {
                page.written = written;
            }
        }
    }

    /// How many pages of a range are charged to `bc`.
    fn owned(&self, range: Range<usize>, bc: Bc) -> usize {
        let pages = self.window[range].iter().flatten();
        pages.filter(|page| page.owner == bc).count()
    }

    fn unmap(&mut self, counters: &mut Counters, range: Range<usize>) {
        for page in &mut self.window[range] {
            if let Some(page) = page.take() {
                counters.uncharge(page.owner, 1);
            }
        }
    }

    /// `mmap()` with `MAP_FIXED`.
    pub fn mmap(&mut self, counters: &mut Counters, range: Range<usize>, new: Mapping) -> Outcome {
        let mut page = Page::new(new.kind, new.access);
        if page.is_private() && self.payer != HOST {
            page.owner = self.payer;
            counters.charge(
                self.payer,
                range.len() - self.owned(range.clone(), self.payer),
            )?;
            // What it takes the place of gives it its charges.
            for page in self.window[range.clone()].iter_mut().flatten() {
                if page.owner == self.payer {
                    page.owner = HOST;
                }
            }
        }
        self.unmap(counters, range.clone());
        self.window[range].fill(Some(page));
        Ok(())
    }

    /// `munmap()`.
    pub fn munmap(&mut self, counters: &mut Counters, range: Range<usize>) -> Outcome {
        self.unmap(counters, range);
        Ok(())
    }

    /// `mprotect()`; the mappings are as `borders` say.
    pub fn mprotect(
        &mut self,
        counters: &mut Counters,
        borders: &Borders,
        range: Range<usize>,
        access: Access,
    ) -> Outcome {
        // It ends where nothing is mapped.
        let mapped = self.window[range.clone()]
            .iter()
            .take_while(|page| page.is_some());
        let end = range.start + mapped.count();
        let done = range.start..end;
        if done.is_empty() {
            return Err(Errno::Nomem);
        }

        let becomes_private = |page: &Page| {
            let new = Page { access, ..*page };
            page.owner == HOST && page.access != Access::Write && new.is_private()
        };
        if self.payer != HOST {
            let pages = self.window[done.clone()].iter().flatten();
            counters.charge(
                self.payer,
                pages.filter(|page| becomes_private(page)).count(),
            )?;
        }
        self.merge(borders);
        for page in self.window[done].iter_mut().flatten() {
            if becomes_private(page) {
                page.owner = self.payer;
            } else if page.access == Access::Write
                && access != Access::Write
                && page.kind == Kind::Anonymous
                && !page.written
            {
                counters.uncharge(page.owner, 1);
                page.owner = HOST;
            }
            page.access = access;
        }
        if end < range.end {
            Err(Errno::Nomem)
        } else {
            Ok(())
        }
    }

    /// `mremap()` of what is within one mapping, or of several that are only moved.
    pub fn mremap(
        &mut self,
        counters: &mut Counters,
        borders: &Borders,
        old: Range<usize>,
        new_len: usize,
        how: Remap,
    ) -> Outcome {
        let (to, copy) = match how {
            Remap::InPlace => (old.start, false),
            Remap::To(to) => (to, false),
            Remap::CopyTo(to) => (to, true),
        };
        let new = to..to + new_len;
        let overlap = new.start < old.end && old.start < new.end;
        if how != Remap::InPlace && overlap || copy && old.len() != new_len {
            return Err(Errno::Inval);
        }
        self.merge(borders);
        if how != Remap::InPlace && old.len() == new_len {
            return self.move_all(counters, borders, old, new, copy);
        }

        let vma = around(borders, old.start).ok_or(Errno::Fault)?;
        let shrinks_in_place = how == Remap::InPlace && new_len <= old.len();
        if !shrinks_in_place && old.start + new_len.min(old.len()) > vma.end {
            return Err(Errno::Fault);
        }
        if how == Remap::InPlace {
            self.resize(counters, vma, old, new_len)
        } else {
            self.move_one(counters, &mut borders.to_vec(), old, new, copy)
        }
    }

    /// Where the mapping is.
    fn resize(
        &mut self,
        counters: &mut Counters,
        vma: Range<usize>,
        old: Range<usize>,
        new_len: usize,
    ) -> Outcome {
        let end = old.start + new_len;
        if end <= old.end {
            self.unmap(counters, end..old.end);
            return Ok(());
        }
        if old.end != vma.end || self.window[old.end..end].iter().any(Option::is_some) {
            return Err(Errno::Nomem);
        }
        let more = end - old.end;
        self.fits(counters, &vma, more, 0)?;
        self.grow(counters, &vma, more);
        let last = self.window[vma.end - 1];
        self.window[vma.end..end].fill(last);
        Ok(())
    }

    /// Whom a mapping is charged to that gets more pages; and for how many more than those, as
    /// somebody else was charged for it.
    fn grows(&self, vma: &Range<usize>, more: usize) -> Option<usize> {
        let page = self.window[vma.start]?;
        if more == 0 || page.owner == HOST && (self.payer == HOST || !page.is_private()) {
            return None;
        }
        Some(if page.owner == self.payer {
            0
        } else {
            vma.len()
        })
    }

    /// Whether there is room for it, if so many pages are given back before.
    fn fits(
        &self,
        counters: &mut Counters,
        vma: &Range<usize>,
        more: usize,
        back: usize,
    ) -> Outcome {
        let Some(had) = self.grows(vma, more) else {
            return Ok(());
        };
        let pages = (had + more).saturating_sub(back);
        counters.charge(self.payer, pages)?;
        counters.uncharge(self.payer, pages);
        Ok(())
    }

    fn grow(&mut self, counters: &mut Counters, vma: &Range<usize>, more: usize) {
        let Some(had) = self.grows(vma, more) else {
            return;
        };
        counters.add(self.payer, had + more);
        if had != 0 {
            for page in self.window[vma.clone()].iter_mut().flatten() {
                counters.uncharge(page.owner, 1);
                page.owner = self.payer;
            }
        }
    }

    /// To where what is there goes first.  `borders` get the holes that this makes.
    fn move_one(
        &mut self,
        counters: &mut Counters,
        borders: &mut Vec<Range<usize>>,
        old: Range<usize>,
        new: Range<usize>,
        copy: bool,
    ) -> Outcome {
        let more = if copy {
            new.len()
        } else {
            new.len().saturating_sub(old.len())
        };
        cut(borders, &new);
        let vma = around(borders, old.start).ok_or(Errno::Fault)?;
        self.fits(counters, &vma, more, self.owned(new.clone(), self.payer))?;
        self.unmap(counters, new.clone());
        if new.len() < old.len() {
            let tail = old.start + new.len()..old.end;
            cut(borders, &tail);
            self.unmap(counters, tail);
        }
        let from = old.start..old.start + old.len().min(new.len());
        let vma = around(borders, from.start).ok_or(Errno::Fault)?;
        self.grow(counters, &vma, more);
        for (n, to) in new.clone().enumerate() {
            self.window[to] = self.window[(from.start + n).min(from.end - 1)].map(|page| Page {
                moved: page.written,
                ..page
            });
        }
        for page in &mut self.window[from.clone()] {
            match page {
                Some(page) if copy => page.written &= vma != from,
                page => *page = None,
            }
        }
        if !copy {
            cut(borders, &from);
        }
        Ok(())
    }

    /// One mapping after the other, with the gaps between them.
    fn move_all(
        &mut self,
        counters: &mut Counters,
        borders: &Borders,
        old: Range<usize>,
        new: Range<usize>,
        copy: bool,
    ) -> Outcome {
        if self.window[old.start].is_none() {
            return Err(Errno::Fault);
        }
        let parts: Vec<_> = borders
            .iter()
            .filter(|vma| vma.start < old.end && old.start < vma.end)
            .map(|vma| (vma.clone(), vma.start.max(old.start)..vma.end.min(old.end)))
            .collect();
        let target = |part: &Range<usize>| {
            new.start + (part.start - old.start)..new.start + (part.end - old.start)
        };
        if copy && self.payer != HOST {
            // None is refused once another one was copied.
            let (mut charged, mut back, mut most) = (0, 0, 0);
            for (vma, part) in &parts {
                let Some(had) = self.grows(vma, part.len()) else {
                    continue;
                };
                charged += part.len() + had;
                back += self.owned(target(part), self.payer);
                most = most.max(charged.saturating_sub(back));
            }
            counters.charge(self.payer, most)?;
            counters.uncharge(self.payer, most);
        }
        let mut borders = borders.to_vec();
        for (_, part) in parts {
            let to = target(&part);
            self.move_one(counters, &mut borders, part, to, copy)?;
        }
        Ok(())
    }

    /// `brk()`: the heap gets this many pages.
    pub fn brk(&mut self, counters: &mut Counters, pages: usize) -> Outcome {
        while self.heap.len() > pages {
            if let Some(page) = self.heap.pop() {
                counters.uncharge(page.owner, 1);
            }
        }
        counters.charge(self.payer, pages - self.heap.len())?;
        let page = Page {
            owner: self.payer,
            ..Page::new(Kind::Anonymous, Access::Write)
        };
        self.heap.resize(pages, page);
        Ok(())
    }

    /// Writes to a page, if that is possible.
    pub fn write(&mut self, borders: &Borders, page: usize) {
        if let Some(page) = &mut self.window[page] {
            page.written |= page.is_private();
        }
        self.merge(borders);
    }

    /// `madvise()`, of a range that is mapped.
    pub fn madvise(&mut self, range: Range<usize>, advice: Advice) -> Outcome {
        for page in self.window[range].iter_mut().flatten() {
            match advice {
                Advice::DontFork => page.dont_fork = true,
                Advice::DoFork => page.dont_fork = false,
                Advice::WipeOnFork => page.wipe_on_fork = true,
                Advice::KeepOnFork => page.wipe_on_fork = false,
            }
        }
        Ok(())
    }

    /// `fork()`: the child's address space, which is charged to `payer`.
    pub fn fork(&self, counters: &mut Counters, payer: Bc) -> Result<Space, Errno> {
        let mut child = self.clone();
        child.payer = payer;
        let mut charged = 0;
        for page in &mut child.window {
            *page = page.filter(|page| !page.dont_fork);
        }
        for page in child.window.iter_mut().flatten().chain(&mut child.heap) {
            if page.owner != HOST || page.is_private() {
                page.owner = payer;
                charged += usize::from(payer != HOST);
            }
            page.written &= !page.wipe_on_fork;
        }
        let program: usize = child.program.iter().sum();
        child.program = [0; BCS + 1];
        child.program[payer] = program;
        counters.charge(payer, charged + program)?;
        Ok(child)
    }

    /// How many pages are charged to `bc`.
    pub fn held(&self, bc: Bc) -> u64 {
        let pages = self.window.iter().flatten().chain(&self.heap);
        (pages.filter(|page| page.owner == bc).count() + self.program[bc]) as u64
    }

    /// The end of the address space.
    pub fn exit(self, counters: &mut Counters) {
        for page in self.window.iter().flatten().chain(&self.heap) {
            counters.uncharge(page.owner, 1);
        }
        for (bc, &pages) in self.program.iter().enumerate() {
            counters.uncharge(bc, pages);
        }
    }
}
