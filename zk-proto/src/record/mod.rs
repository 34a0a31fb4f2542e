//! What a terminal stores: users, attendance, counters, events. No commands.

mod attendance;
mod counters;
mod event;
mod user;

pub use self::{
    attendance::{
        Attendance, AttendanceLog, AttendanceRef, Layout, LogHint, PunchState, Records, VerifyMode,
    },
    counters::Counters,
    event::{Event, EventCode},
    user::{Privilege, User, UserLayout, UserList, UserRecord},
};
