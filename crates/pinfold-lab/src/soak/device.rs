//! A device: it reads the commands of a buffer from the frames that were pinned for it, and knows
//! nothing else.

use super::buffer::Place;
use super::lane::Shared;
use super::world::Job;
use crate::pressure::board::sit_at;
use crate::pressure::desk::{Kind, Trouble};
use std::sync::atomic::Ordering;

/// Reads buffers until all is over.
pub(super) fn serve(shared: &Shared, (device, cpu): (usize, usize)) {
    sit_at(cpu);
    let (world, desk) = (&shared.world, &shared.desk);
    while !world.stop.is_over() {
        let Some(job) = world.queues[device].take() else { continue };
        let read = || {
            read(shared, device, &job);
            Ok::<_, Trouble>(())
        };
        drop(desk.carry_out(Kind::DeviceRead, read));
        let slot = &shared.processes[job.process].slots[job.buffer as usize];
        slot.busy.store(false, Ordering::Release);
    }
}

fn read(shared: &Shared, device: usize, job: &Job) {
    let (world, process) = (&shared.world, &shared.processes[job.process]);
    for ((frame, number), page) in job.frames.iter().zip(job.numbers).zip(0..) {
        let place = Place { process: job.process, buffer: job.buffer, page };
        shared.desk.checked(1);
        if let Err(wrong) = place.check(world.board(), *frame, number) {
            let by = format!("device {device}");
            let finding = (by.as_str(), place, number);
            world.corrupted((process, &shared.logs), finding, Some(*frame), wrong);
            return;
        }
    }
}
