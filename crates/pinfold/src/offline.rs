//! Taking memory out while it is in use: memory hotplug, and requests for contiguous frames of a
//! region that what can move has meanwhile (CMA), which are the same (facts 7.3).
//!
//! Protocol, in rounds: what is free of the span leaves the free lists, so that nobody gets it;
//! each other frame with private memory, or a page of a file or of shared memory, is found by its
//! number, with a reference, isolated, and moved to anywhere else, and leaves the lists as soon as
//! it is free. A frame that comes free by others between two rounds may be handed out again, and is
//! met in the next. The rounds end when nothing is left, or one has taken no frame out: then a walk
//! tells of each frame that is not out, once, and all goes back. No lock is held over more than one
//! frame's move; migration sleeps for page locks ([`MigrateMode::Sync`]).
//!
//! Invariants:
//! - INV-OFFLINE-1: a frame that is out was free, under the lock of its node's lists: it has no
//!   reference, and nothing maps it.
//! - INV-OFFLINE-2: one call takes memory out at a time, so that what is out of its span, of which
//!   all was in use or free when it began, is its own.
//! - INV-OFFLINE-3: an attempt that fails brings all frames back that it has taken out; what has
//!   moved meanwhile stays where it is now.

use core::fmt;
use core::ops::Range;

use crate::addr::Pfn;
use crate::error::OutOfFrames;
use crate::frame::{Flags, MemoryMapError, NodeSpan, Sizes, Start, Wanted};
use crate::memory::Memory;
use crate::migrate::{Isolated, MigrateMode, Target};
use crate::platform::Platform;
use crate::plural::Counted;
use crate::sync::Shared;

/// Why a frame stays in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// Somebody refers to the page, by a pin for instance, or handles it.
    Busy,
    /// What it holds does not move: a page table, a merged page, a huge page of the pool, the zero
    /// page, a page that was taken out of its file and that somebody holds, or something of the
    /// embedder's own.
    Fixed,
    /// There is no frame that its contents could move to.
    NoFrame,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "somebody refers to the page: release that first",
            Self::Fixed => "what it holds does not move: free it where it is used",
            Self::NoFrame => "there is no frame to move to: free some elsewhere",
        })
    }
}

/// Why memory could not be taken out. All of it is in use, or free for use, as before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OfflineError {
    /// The span is not one of memory that can be taken out: of one node and one zone, not out
    /// already, and not an outside owner's; or another call takes memory out.
    Span(MemoryMapError),
    /// So many frames stay in use.
    Stays(u64),
}

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(error) => error.fmt(f),
            Self::Stays(frames) => {
                let stay = Counted::new(*frames, "frame stays", "frames stay");
                let them = if *frames == 1 { "it" } else { "them" };
                write!(f, "{stay} in use: remove what keeps {them} and try again")
            }
        }
    }
}

impl core::error::Error for OfflineError {}

impl<P: Platform> Memory<P> {
    /// Takes the memory of `span` out while it is in use: free frames are handed out no more, and
    /// pages of processes and files move elsewhere, near their node if possible. When it returns
    /// nobody has any of the frames, until they are brought back by [`Memory::online`] or
    /// [`Frames::add`]. `tell` learns of each frame that stays, and why, if one does; it may not
    /// call the manager.
    ///
    /// # Errors
    /// When the span is not of one node and one zone, when another call takes memory out at the
    /// same time, and when a frame stays: then none is out.
    ///
    /// [`Frames::add`]: crate::Frames::add
    pub fn offline(
        this: &Shared<Self>,
        span: &NodeSpan,
        tell: impl FnMut(Pfn, Obstacle),
    ) -> Result<(), OfflineError> {
        if span.frames == 0 {
            return Ok(());
        }
        let frames = this.frames();
        let _alone = frames.begin_leaving(span.first).map_err(OfflineError::Span)?;
        frames.check_span(span, Wanted::Present).map_err(OfflineError::Span)?;
        let mut out = frames.take_out_free(span);
        while out < span.frames {
            let taken = Self::move_round(this, span);
            out += taken;
            if taken == 0 {
                break;
            }
        }
        if out < span.frames {
            let stays = this.tell_what_stays(span, tell);
            frames.bring_back(span);
            return Err(OfflineError::Stays(stays));
        }
        Ok(())
    }

    /// Takes a part of a region for contiguous requests ([`crate::FrameSetup::cma`]; cma_alloc,
    /// facts 7.3): what lies there moves elsewhere, and the frames are the caller's, who gives them
    /// back by [`Memory::online`]. `tell` is as for [`Memory::offline`].
    ///
    /// ```
    /// use pinfold::{mock::Host, *};
    /// # let span = |first, frames| NodeSpan { node: NodeId(0), first: Pfn(first), frames };
    /// let (rest, region) = ([span(0, 48)], [span(48, 16)]);
    /// let frames = FrameSetup::new(&rest).cma(&region).build()?;
    /// let host = Host::<X86_64>::new(64);
    /// # // SAFETY: the host has these frames, and nobody else uses it.
    /// let memory = unsafe { Memory::over(host, frames, Rules::default(), Tuning::default())? };
    /// let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    /// let range = space.map(Place::Anywhere, 8, Prot::READ_WRITE, Sharing::Private)?;
    /// space.populate(range, Access::Write)?;
    /// let buffer = span(48, 8);
    /// Memory::take_contiguous(&memory, &buffer, |_, _| {})?;
    /// // SAFETY: nobody uses the frames any more.
    /// unsafe { memory.online(&buffer)? };
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Memory::offline`], and when the span does not lie in one such region.
    pub fn take_contiguous(
        this: &Shared<Self>,
        span: &NodeSpan,
        tell: impl FnMut(Pfn, Obstacle),
    ) -> Result<(), OfflineError> {
        if span.frames > 0 {
            this.frames().check_cma(span).map_err(OfflineError::Span)?;
        }
        Self::offline(this, span, tell)
    }

    /// Brings memory back that [`Memory::offline`] has taken out: it serves the requests that it
    /// did before.
    ///
    /// # Errors
    /// When not all of the span is out, or part of it never was here: nothing has changed then. No
    /// frames can be brought back anywhere.
    ///
    /// # Safety
    /// As for [`Frames::add`]: the frames are the caller's to give.
    ///
    /// [`Frames::add`]: crate::Frames::add
    pub unsafe fn online(&self, span: &NodeSpan) -> Result<(), MemoryMapError> {
        if span.frames == 0 {
            return Ok(());
        }
        self.frames().check_span(span, Wanted::Out)?;
        self.frames().bring_back(span);
        Ok(())
    }

    /// A round: moves what is in use, and takes out what comes free; how many frames that were.
    fn move_round(this: &Shared<Self>, span: &NodeSpan) -> u64 {
        this.lru_add_drain_all();
        let mut taken = 0;
        let all = (span.first.0..span.end()).map(Pfn);
        for pfn in all.filter(|pfn| !this.frames().is_out(*pfn)) {
            if let Some(folio) = Self::move_away(this, pfn) {
                let first = folio.start.max(span.first);
                let frames = folio.end.0.min(span.end()) - first.0;
                taken += this.frames().take_out_free(&NodeSpan { first, frames, ..*span });
            }
        }
        taken + this.frames().take_out_free(span)
    }

    /// Moves the folio of a frame that is in use to anywhere else; the frames that it had, that one
    /// among them, if it did.
    fn move_away(this: &Shared<Self>, pfn: Pfn) -> Option<Range<Pfn>> {
        if this.frames().flags(pfn).is_fixed() {
            return None;
        }
        // By the rules up to 4.4 a tail is not referred to by its number.
        let isolated = Self::isolate_of(this, this.frames().locked_by(pfn), pfn)?;
        let frames = isolated.all();
        let target = Target::anywhere(this.frames().node(pfn));
        this.migrate_telling(isolated, target, MigrateMode::Sync).1.is_ok().then_some(frames)
    }

    /// Isolates the folio with this head, if the page is still one of its pages: a split may have
    /// come before.
    fn isolate_of(this: &Shared<Self>, head: Pfn, pfn: Pfn) -> Option<Isolated<'_, P>> {
        let _reference = Self::reference_if(this, head, |flags| !flags.is_fixed())?;
        this.isolate(head, Sizes::Any).filter(|isolated| isolated.all().contains(&pfn))
    }

    /// Tells of each frame of a span that is not out; how many those are.
    fn tell_what_stays(&self, span: &NodeSpan, mut tell: impl FnMut(Pfn, Obstacle)) -> u64 {
        let mut stays = 0;
        let all = (span.first.0..span.end()).map(Pfn);
        for pfn in all.filter(|pfn| !self.frames().is_out(*pfn)) {
            tell(pfn, self.obstacle(pfn));
            stays += 1;
        }
        stays
    }

    /// Why a frame stays that the rounds have not taken out.
    fn obstacle(&self, pfn: Pfn) -> Obstacle {
        let (flags, target) = (self.frames().flags(pfn), Target::anywhere(self.frames().node(pfn)));
        // Others have given it up since: a tail counts nothing either.
        let free = !flags.intersects(Flags::LARGE) && self.frames().counts(pfn).refs() == 0;
        if !free && flags.is_fixed() {
            return Obstacle::Fixed;
        }
        match self.frames().alloc_from(target.placement, target.zone, Flags::ANON, Start::Held) {
            Err(OutOfFrames) if !free => Obstacle::NoFrame,
            Ok(_) | Err(OutOfFrames) => Obstacle::Busy,
        }
    }
}

#[cfg(test)]
mod tests;
