//! Everything that needs more than one module: a bridge in a directory of its own, terminals and a CRM in software.

#![expect(clippy::disallowed_methods, reason = "tests wait for real processes")]

mod bad_input;
mod bugs;
mod cli;
mod crash;
mod delivery;
mod disk;
mod end_to_end;
mod fleet;
mod moving;
mod nodes;
mod pages;
mod pipeline;
mod postgres;
mod regressions;
mod rig;
mod shifts;
mod silence;
mod status;
mod store_contract;
mod support;
