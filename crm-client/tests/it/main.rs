//! The connectors against real sockets.

mod batch;
mod device;
mod fake;
mod frappe;
mod http;
mod laws;
mod odoo;
mod raw;
mod template;
mod tls;
mod webhook;
mod wire;
