//! The registry of terminals.

use attendance_core::DeviceId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
};

use super::entity::{cursor, device, device_group};
use super::{Store, alone, due};
use crate::failure::Failure;

/// The group of devices that names none; in it an unmapped user id is the employee id.
pub const MAIN_GROUP: &str = "main";

/// A device to be added.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Unique, at most 100 characters.
    pub name: String,
    /// `HOST` or `HOST:PORT`.
    pub address: String,
    /// Tried when the first does not answer.
    pub secondary_address: Option<String>,
    /// IANA zone, already checked.
    pub timezone: String,
    /// Sealed comm key.
    pub comm_key: Option<String>,
    /// `auto`, `tcp` or `udp`.
    pub transport: String,
    /// `auto` or the name of an encoding.
    pub encoding: String,
    /// Name of the device group; made if it is new.
    pub group: String,
    /// Office, free text.
    pub office: Option<String>,
}

impl Store {
    /// All devices by name.
    pub async fn devices(&self) -> Result<Vec<device::Model>, DbErr> {
        device::Entity::find()
            .order_by_asc(device::Column::Name)
            .all(self.reader())
            .await
    }

    /// The other devices that tell this serial number.
    pub async fn twins(
        &self,
        device_id: i64,
        serial_number: &str,
    ) -> Result<Vec<device::Model>, DbErr> {
        device::Entity::find()
            .filter(device::Column::SerialNumber.eq(serial_number))
            .filter(device::Column::Id.ne(device_id))
            .all(self.reader())
            .await
    }

    /// The device called `name`.
    pub async fn device(&self, name: &str) -> anyhow::Result<device::Model> {
        let found = device::Entity::find()
            .filter(device::Column::Name.eq(name))
            .one(self.reader())
            .await?;
        Ok(found.ok_or_else(|| {
            Failure::new(
                "unknown_device",
                format!("There is no device called {name:?}."),
                "See `zk-bridge device list`, or add it with `zk-bridge device add`.",
            )
        })?)
    }

    /// The device with this id.
    pub async fn device_with_id(&self, id: i64) -> Result<Option<device::Model>, DbErr> {
        device::Entity::find_by_id(id).one(self.reader()).await
    }

    /// All device groups.
    pub async fn device_groups(&self) -> Result<Vec<device_group::Model>, DbErr> {
        device_group::Entity::find()
            .order_by_asc(device_group::Column::Name)
            .all(self.reader())
            .await
    }

    /// Adds a device.
    pub async fn add_device(&self, new: NewDevice, now: i64) -> anyhow::Result<device::Model> {
        if new.name == DeviceId::MANUAL {
            return Err(Failure::new(
                "device_name",
                "The name \"manual\" is kept for punches that people enter by hand.",
                "Choose another name.",
            )
            .into());
        }
        let tx = self.begin().await?;
        let taken = device::Entity::find()
            .filter(device::Column::Name.eq(&new.name))
            .one(&tx)
            .await?;
        if taken.is_some() {
            return Err(Failure::new(
                "device_exists",
                format!("A device called {:?} exists already.", new.name),
                "Choose another name, or look at it with `zk-bridge device list`.",
            )
            .into());
        }
        let group_id = group(&tx, &new.group).await?;
        let row = device::ActiveModel {
            id: NotSet,
            name: Set(new.name),
            address: Set(new.address),
            secondary_address: Set(new.secondary_address),
            timezone: Set(new.timezone),
            comm_key: Set(new.comm_key),
            transport: Set(new.transport),
            encoding: Set(new.encoding),
            group_id: Set(group_id),
            office: Set(new.office),
            enabled: Set(true),
            created_at: Set(now),
            updated_at: Set(now),
            serial_number: Set(None),
            mac: Set(None),
            firmware: Set(None),
            platform: Set(None),
            model: Set(None),
            last_sync: Set(None),
            last_attempt: Set(None),
            last_error: Set(None),
            complete_until: Set(None),
            log_capacity: Set(None),
            clock_drift_s: Set(None),
        }
        .insert(&tx)
        .await?;
        due::call_for(&tx, row.id, now).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Changes what an administrator sets of a device, and has it read soon; what polls learn about it stays as it is.
    pub async fn update_device(&self, device: device::Model) -> Result<(), DbErr> {
        // In the order of an intake, which may be under way.
        let tx = self.begin_beside().await?;
        due::hold(&tx, device.id).await?;
        alone(&tx).await?;
        let change = device::ActiveModel {
            id: Set(device.id),
            name: Set(device.name),
            address: Set(device.address),
            secondary_address: Set(device.secondary_address),
            timezone: Set(device.timezone),
            comm_key: Set(device.comm_key),
            transport: Set(device.transport),
            encoding: Set(device.encoding),
            group_id: Set(device.group_id),
            office: Set(device.office),
            enabled: Set(device.enabled),
            updated_at: Set(device.updated_at),
            ..Default::default()
        };
        let row = change.update(&tx).await?;
        due::call_for(&tx, row.id, row.updated_at).await?;
        tx.commit().await
    }

    /// How far the device's log was read.
    pub async fn cursor(&self, device_id: i64) -> Result<Option<cursor::Model>, DbErr> {
        cursor::Entity::find_by_id(device_id)
            .one(self.reader())
            .await
    }
}

/// The id of the group called `name`, made if it is new.
async fn group(db: &impl ConnectionTrait, name: &str) -> Result<i64, DbErr> {
    let row = device_group::ActiveModel {
        id: NotSet,
        name: Set(name.to_owned()),
        require_mapping: Set(false),
    };
    let found = device_group::Entity::find()
        .filter(device_group::Column::Name.eq(name))
        .one(db)
        .await?;
    match found {
        Some(row) => Ok(row.id),
        None => Ok(row.insert(db).await?.id),
    }
}
