//! Who is who (R8).

use std::collections::HashMap;

use crate::plan::Plan;
use crate::rank::{NONE, ranking};
use crate::{EmployeeId, Punch};

/// The people met so far, numbered in the order of being met.
pub(crate) struct People<'p, Z> {
    plan: &'p Plan<Z>,
    numbers: HashMap<EmployeeId, u32>,
    met: Vec<EmployeeId>,
    /// By the user's number, where the user id is the employee id.
    by_user: Vec<u32>,
    /// By the numbers of device and user, where the identity map decides.
    by_mark: HashMap<(u32, u32), u32>,
}

impl<'p, Z> People<'p, Z> {
    pub(crate) fn new(plan: &'p Plan<Z>) -> Self {
        Self {
            plan,
            numbers: HashMap::new(),
            met: Vec::new(),
            by_user: Vec::new(),
            by_mark: HashMap::new(),
        }
    }

    /// The number of the person behind a punch, or [`NONE`]; `manual` punches name the employee directly.
    #[inline]
    pub(crate) fn find(&mut self, device: u32, user: u32, manual: bool, punch: &Punch) -> u32 {
        match &self.plan.identities {
            Some(identities) if !manual => {
                if let Some(&number) = self.by_mark.get(&(device, user)) {
                    return number;
                }
                let employee = identities.employee(punch.device.as_str(), punch.user.as_str());
                let employee = employee.cloned();
                let number = employee.map_or(NONE, |employee| self.number(employee));
                self.by_mark.insert((device, user), number);
                number
            }
            _ => {
                let user = user as usize;
                if user >= self.by_user.len() {
                    self.by_user.resize(user + 1, NONE);
                }
                if self.by_user[user] == NONE {
                    let employee = EmployeeId::from(punch.user.clone());
                    self.by_user[user] = self.number(employee);
                }
                self.by_user[user]
            }
        }
    }

    fn number(&mut self, employee: EmployeeId) -> u32 {
        if let Some(&number) = self.numbers.get(&employee) {
            return number;
        }
        let number = u32::try_from(self.met.len()).unwrap_or(u32::MAX);
        self.met.push(employee.clone());
        self.numbers.insert(employee, number);
        number
    }

    /// Everybody, with those in the roster, by id; and the rank of each number.
    pub(crate) fn rank(mut self) -> (Vec<EmployeeId>, Vec<u32>) {
        for employee in self.plan.roster.keys() {
            self.number(employee.clone());
        }
        let ranks = ranking(&self.met);
        self.met.sort_unstable();
        (self.met, ranks)
    }
}
