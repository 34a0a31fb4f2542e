//! From a biometric attendance terminal on the wall to a correct attendance record in the HR system.
//!
//! This crate only composes: `zk-proto` speaks with terminals, `attendance-core` judges days, `crm-client` delivers
//! them. What is here is the store in which these stations meet, the jobs between them, and the ways in: command
//! line and pages.

pub mod app;
mod cause;
pub mod cli;
pub mod clock;
pub mod config;
pub mod convert;
pub mod demo;
pub mod devices;
pub mod entries;
mod failpoint;
mod failure;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod notify;
pub mod scheduler;
pub mod secret;
pub mod status;
pub mod store;
pub mod zone;

pub use failure::Failure;

// The README's commands and examples are tested with the rest.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
