//! From the punches of one shift to ins and outs (section G).

use crate::breaks::Span;
use crate::intake::Stamp;
use crate::{Config, Instant, Kind, Role, Rule, SinglePunch, Strategy};

/// What the punches of one instance say.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// In the order of the punches.
    pub(crate) roles: Vec<(Role, Rule)>,
    /// Stretches of presence that were punched at both ends.
    pub(crate) sessions: Vec<Span>,
    /// The in of a session that no out has closed.
    pub(crate) open: Option<Instant>,
    /// The first punch is an out.
    pub(crate) lacks_in: bool,
    last_out: Option<Instant>,
    first_in: Option<Instant>,
}

impl Pairs {
    /// `edges` are start and end of a fixed shift: a lone punch is judged by the nearer one.
    pub(crate) fn read(&mut self, punches: &[Stamp], edges: Option<Span>, config: &Config) {
        self.roles.clear();
        self.sessions.clear();
        (self.open, self.lacks_in, self.last_out, self.first_in) = (None, false, None, None);
        let [first, .., last] = punches else {
            if let [only] = punches {
                self.alone(only, edges, config, 39);
            }
            return;
        };
        let blind = !config.strategy.reads_kinds();
        if blind && last.instant.since(first.instant) < i64::from(config.min_span_s) {
            self.alone(first, edges, config, 40);
            self.roles.resize(punches.len(), (Role::Middle, Rule(40)));
        } else if config.strategy == Strategy::FirstLast {
            self.opens(first.instant, 36);
            self.roles
                .resize(punches.len() - 1, (Role::Middle, Rule(36)));
            self.closes(last.instant, 36);
        } else {
            let rule = if blind { 37 } else { 38 };
            for stamp in punches {
                self.next(stamp.instant, stamp.kind, rule);
            }
        }
    }

    /// R41: the first in that opens a session, unless something came before it.
    pub(crate) fn clock_in(&self) -> Option<Instant> {
        self.first_in.filter(|_| !self.lacks_in)
    }

    /// R41: the last out, unless a session is open.
    pub(crate) fn clock_out(&self) -> Option<Instant> {
        self.last_out.filter(|_| self.open.is_none())
    }

    /// R39.
    fn alone(&mut self, only: &Stamp, edges: Option<Span>, config: &Config, rule: u8) {
        if only.kind != Kind::Unknown {
            return self.next(only.instant, only.kind, 38);
        }
        let nearest = edges.filter(|_| config.single_punch == SinglePunch::Nearest);
        let leaves = nearest.is_some_and(|edges| {
            only.instant.since(edges.from).abs() > only.instant.since(edges.to).abs()
        });
        let kind = if leaves { Kind::Out } else { Kind::In };
        self.next(only.instant, kind, rule);
    }

    /// R38.
    fn next(&mut self, instant: Instant, kind: Kind, rule: u8) {
        let arrives = kind.is_in_like() || !kind.is_out_like() && self.open.is_none();
        match (arrives, self.open.is_some()) {
            (true, false) => self.opens(instant, rule),
            (false, true) => self.closes(instant, rule),
            (false, false) if self.roles.is_empty() => {
                self.lacks_in = true;
                self.last_out = Some(instant);
                self.roles.push((Role::Out, Rule(rule)));
            }
            (true, true) | (false, false) => self.roles.push((Role::Redundant, Rule(rule))),
        }
    }

    fn opens(&mut self, instant: Instant, rule: u8) {
        self.open = Some(instant);
        self.first_in = self.first_in.or(self.open);
        self.roles.push((Role::In, Rule(rule)));
    }

    fn closes(&mut self, instant: Instant, rule: u8) {
        if let Some(from) = self.open.take() {
            self.sessions.push(Span { from, to: instant });
        }
        self.last_out = Some(instant);
        self.roles.push((Role::Out, Rule(rule)));
    }
}
