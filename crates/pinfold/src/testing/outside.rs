//! Frames that somebody else owns.

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::vec::Vec;

use pinfold::{FrameSource, NodeId, NodeSpan, OutOfFrames, Pfn, Placement, Request};

/// An owner of frames outside the manager, with its own records: it hands out the highest free run,
/// which the manager's own lists never do first.
pub(crate) struct Outside {
    spans: Vec<NodeSpan>,
    books: Mutex<Books>,
}

/// What an [`Outside`] has written down.
#[derive(Default)]
pub(crate) struct Books {
    free: BTreeSet<Pfn>,
    /// Each frame that was handed out, with the order of the run that it was part of.
    out: BTreeMap<Pfn, u32>,
    /// Every request, in order.
    pub(crate) requests: Vec<Request>,
    /// Requests to grant before one is refused.
    pub(crate) refuse_after: Option<usize>,
}

impl Outside {
    /// The owner of these spans. It lives as long as the process, as a kernel's allocator does.
    pub(crate) fn of(spans: &[NodeSpan]) -> &'static Self {
        let free = spans.iter().flat_map(|span| span.first.0..span.first.0 + span.frames);
        let books = Mutex::new(Books { free: free.map(Pfn).collect(), ..Books::default() });
        Box::leak(Box::new(Self { spans: spans.to_vec(), books }))
    }

    pub(crate) fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Whether nobody has any of its frames.
    pub(crate) fn has_all(&self) -> bool {
        self.books().out.is_empty()
    }
}

// SAFETY: a run is taken out of the set of free frames, of one span, and put back once; the lock
// orders both.
unsafe impl FrameSource for Outside {
    fn alloc(&self, request: Request) -> Result<Pfn, OutOfFrames> {
        let mut books = self.books();
        books.requests.push(request);
        books.refuse_after = match books.refuse_after {
            Some(0) => {
                books.refuse_after = None;
                return Err(OutOfFrames);
            }
            left => left.map(|left| left - 1),
        };
        let len = 1 << request.order;
        let on = |wanted: Option<NodeId>| {
            let runs = self.spans.iter().filter(|span| wanted.is_none_or(|node| node == span.node));
            runs.rev().find_map(|span| {
                let starts = span.first.0..(span.first.0 + span.frames + 1).saturating_sub(len);
                starts.rev().filter(|first| first.is_multiple_of(len)).map(Pfn).find(|first| {
                    (first.0..first.0 + len).all(|pfn| books.free.contains(&Pfn(pfn)))
                })
            })
        };
        let first = match request.placement {
            Placement::Only(node) => on(Some(node)),
            Placement::Prefer(node) => on(Some(node)).or_else(|| on(None)),
        };
        let first = first.ok_or(OutOfFrames)?;
        books.free.retain(|pfn| !(first.0..first.0 + len).contains(&pfn.0));
        books.out.extend((first.0..first.0 + len).map(|pfn| (Pfn(pfn), request.order)));
        Ok(first)
    }

    unsafe fn free(&self, first: Pfn, order: u32) {
        let mut books = self.books();
        assert!(first.0.is_multiple_of(1 << order), "{first} is not aligned to order {order}");
        for pfn in (first.0..first.0 + (1 << order)).map(Pfn) {
            let given = books.out.remove(&pfn);
            assert!(given.is_some_and(|given| given >= order), "{pfn} was handed out: {given:?}");
            books.free.insert(pfn);
        }
    }

    fn free_frames(&self, node: NodeId) -> u64 {
        let books = self.books();
        let here = self.spans.iter().filter(|span| span.node == node);
        here.map(|span| {
            let end = Pfn(span.first.0 + span.frames);
            books.free.range(span.first..end).count() as u64
        })
        .sum()
    }

    fn total_free(&self) -> u64 {
        self.books().free.len() as u64
    }
}
