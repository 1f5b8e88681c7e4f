//! A CPU with four registers and six instructions, which it fetches from the process's memory.

use pinfold::{Cause, FaultError, Format, VirtAddr};

use crate::machine::{Machine, Process};

/// One instruction of eight bytes: the operation, two registers, and 32 bits with a sign.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instruction {
    /// `a = value`.
    Set(u8, i32),
    /// `a += value`.
    Add(u8, i32),
    /// `a += b`.
    Sum(u8, u8),
    /// `a = memory[b + offset]`.
    Load(u8, u8, i32),
    /// `memory[b + offset] = a`.
    Store(u8, u8, i32),
    /// Goes on `offset` instructions from this one unless `a` is zero.
    Loop(u8, i32),
    Halt,
}

use Instruction::{Add, Halt, Load, Loop, Set, Store, Sum};

impl Instruction {
    pub(crate) fn encode(self) -> u64 {
        let word = |operation: u8, a: u8, b: u8, value: i32| {
            let [x, y, z, w] = value.to_le_bytes();
            u64::from_le_bytes([operation, a, b, 0, x, y, z, w])
        };
        match self {
            Halt => word(1, 0, 0, 0),
            Set(a, value) => word(2, a, 0, value),
            Add(a, value) => word(3, a, 0, value),
            Sum(a, b) => word(4, a, b, 0),
            Load(a, b, offset) => word(5, a, b, offset),
            Store(a, b, offset) => word(6, a, b, offset),
            Loop(a, offset) => word(7, a, 0, offset),
        }
    }

    fn decode(word: u64) -> Option<Self> {
        let [operation, a, b, _, x, y, z, w] = word.to_le_bytes();
        let value = i32::from_le_bytes([x, y, z, w]);
        Some(match operation {
            1 => Halt,
            2 => Set(a, value),
            3 => Add(a, value),
            4 => Sum(a, b),
            5 => Load(a, b, value),
            6 => Store(a, b, value),
            7 => Loop(a, value),
            _ => return None,
        })
    }
}

/// Why a program ended before its halt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trap {
    /// The access was refused.
    Fault(FaultError),
    /// There is no such instruction.
    Illegal(VirtAddr),
    /// There is no such address.
    NoAddress,
}

impl From<FaultError> for Trap {
    fn from(error: FaultError) -> Self {
        Self::Fault(error)
    }
}

/// The state of a CPU.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    pub(crate) number: usize,
    pub(crate) registers: [u64; 4],
    pub(crate) next: VirtAddr,
}

impl Cpu {
    pub(crate) fn at(number: usize, start: VirtAddr) -> Self {
        Self { number, registers: [0; 4], next: start }
    }

    fn register(&mut self, number: u8) -> &mut u64 {
        &mut self.registers[usize::from(number) % 4]
    }

    /// Runs to the halt.
    pub(crate) fn run<F: Format>(&mut self, process: &Process<F>) -> Result<(), Trap> {
        while self.step(process)? {}
        Ok(())
    }

    /// Runs one instruction; whether there is a next one.
    fn step<F: Format>(&mut self, process: &Process<F>) -> Result<bool, Trap> {
        let machine: &Machine<F> = process.memory().platform();
        let this = self.next;
        let word = machine.access(self.number, process, (this, Cause::Fetch), 0)?;
        self.next = this.checked_add(8).ok_or(Trap::NoAddress)?;
        match Instruction::decode(word).ok_or(Trap::Illegal(this))? {
            Set(a, value) => *self.register(a) = i64::from(value) as u64,
            Add(a, value) => {
                let register = self.register(a);
                *register = register.wrapping_add_signed(value.into());
            }
            Sum(a, b) => {
                let more = *self.register(b);
                let register = self.register(a);
                *register = register.wrapping_add(more);
            }
            Load(a, b, offset) => {
                let at = self.address(b, offset)?;
                *self.register(a) = machine.access(self.number, process, (at, Cause::Load), 0)?;
            }
            Store(a, b, offset) => {
                let (at, value) = (self.address(b, offset)?, *self.register(a));
                machine.access(self.number, process, (at, Cause::Store), value)?;
            }
            Loop(a, offset) if *self.register(a) != 0 => {
                let target = this.checked_offset(8 * i64::from(offset));
                self.next = target.ok_or(Trap::NoAddress)?;
            }
            Loop(..) => {}
            Halt => return Ok(false),
        }
        Ok(true)
    }

    fn address(&mut self, register: u8, offset: i32) -> Result<VirtAddr, Trap> {
        let base = VirtAddr(*self.register(register));
        base.checked_offset(offset.into()).ok_or(Trap::NoAddress)
    }
}
