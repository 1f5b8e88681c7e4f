//! Steps that take a node's memory out while it is in use, and bring it back.
//!
//! Protocol: memory goes by spans of one node and one zone each, the lowest first. If one stays,
//! those that have gone before come back: a step that fails has taken nothing out.

use pinfold::{MemoryMapError, NodeId, NodeSpan, Obstacle, OfflineError, Pfn};

use super::{Done, Fault};
use crate::counted::counted;
use crate::scenario::{Failure, Memory};
use crate::world::World;

impl World {
    /// `offline`
    pub(super) fn offline(&self, node: NodeId, what: Memory) -> Done {
        let mut gone: Vec<NodeSpan> = Vec::new();
        for span in self.spans(node, what) {
            let mut short = true;
            let told = |_: Pfn, why: Obstacle| short &= why == Obstacle::NoFrame;
            let taken = match what {
                Memory::Cma => pinfold::Memory::take_contiguous(&self.memory, &span, told),
                Memory::All | Memory::Movable => {
                    pinfold::Memory::offline(&self.memory, &span, told)
                }
            };
            if let Err(error) = taken {
                for span in &gone {
                    self.bring_back(span)?;
                }
                return Err(match error {
                    OfflineError::Stays(_) if short => Fault::of(Failure::OutOfFrames, error),
                    OfflineError::Stays(_) | OfflineError::Span(MemoryMapError::Leaving(_)) => {
                        Fault::of(Failure::Busy, error)
                    }
                    error => Fault::of(Failure::Invalid, error),
                });
            }
            gone.push(span);
        }
        let frames: u64 = gone.iter().map(|span| span.frames).sum();
        Ok(self.tell(|| format!("{} out", counted(frames, "frame", "frames"))))
    }

    /// `online`
    pub(super) fn online(&self, node: NodeId, what: Memory) -> Done {
        for span in self.spans(node, what) {
            self.bring_back(&span)?;
        }
        Ok(None)
    }

    fn bring_back(&self, span: &NodeSpan) -> Result<(), Fault> {
        // SAFETY: the frames are the machine's own, and what was taken out nobody uses.
        let back = unsafe { self.memory.online(span) };
        back.map_err(|error| Fault::of(Failure::Invalid, error))
    }

    /// Brings all memory back that is out: a machine ends with what it began with.
    pub(crate) fn plug_in(&self) {
        let frames = self.memory.frames();
        for pfn in frames.all() {
            let span = NodeSpan { node: frames.node(pfn), first: pfn, frames: 1 };
            // SAFETY: as above. What is not out is refused, and nothing changes.
            let _ = unsafe { self.memory.online(&span) };
        }
    }

    /// The spans of a node's memory, of one zone each, the lowest first.
    fn spans(&self, node: NodeId, what: Memory) -> Vec<NodeSpan> {
        let frames = self.memory.frames();
        let wanted = |pfn: &Pfn| {
            frames.node(*pfn) == node
                && match what {
                    Memory::All => true,
                    Memory::Movable => frames.is_movable(*pfn) && !frames.is_cma(*pfn),
                    Memory::Cma => frames.is_cma(*pfn),
                }
        };
        let kind = |pfn| (frames.is_movable(pfn), frames.is_cma(pfn));
        let mut spans: Vec<NodeSpan> = Vec::new();
        for pfn in frames.all().filter(wanted) {
            match spans.last_mut() {
                Some(last)
                    if last.first.0 + last.frames == pfn.0 && kind(last.first) == kind(pfn) =>
                {
                    last.frames += 1;
                }
                _ => spans.push(NodeSpan { node, first: pfn, frames: 1 }),
            }
        }
        spans
    }
}
