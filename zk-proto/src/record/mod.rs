//! What a terminal stores and tells: users, attendance, templates, counters, events. No commands.

mod access;
mod attendance;
mod counters;
mod event;
mod layout;
mod message;
mod operation;
mod template;
mod user;

pub use self::{
    access::{Combination, DayWindow, Group, TimeZone, UserZones, VerifyRule},
    attendance::{
        Attendance, AttendanceLog, AttendanceRef, LogHint, PunchState, Records, VerifyMode,
    },
    counters::Counters,
    event::{Alarm, Enrolled, Event, EventCode, EventMask, LivePunch, Puncher, Told},
    layout::Layout,
    message::{Message, MessageTag},
    operation::{Operation, OperationCode},
    template::{Face, Template, TemplateFlag},
    user::{Privilege, User, UserLayout, UserList, UserRecord},
};
pub(crate) use self::{
    event::shape_of_punches,
    layout::{Id, detect as layout_of_log, is_id},
    user::{PersonalId, TEMPLATE_SLOT},
};
