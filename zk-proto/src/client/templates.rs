//! Fingerprint templates.

use bytes::Bytes;

use super::{Client, logs::is_unsupported};
use crate::{
    Code, Error,
    record::{Face, Template},
    request::{
        BulkUpload, DeleteTemplate, DeleteTemplateOf, Finger, FreeBuffer, PrepareUpload, ReadFaces,
        ReadPhoto, ReadTemplate, ReadTemplateBare, ReadTemplates, ReadUploadHash, RefreshData,
        Request, SaveUploaded, StoreTemplate, UploadPart, upload_hash,
    },
};

/// Fingers of a person.
const FINGERS: u8 = 10;

impl Client {
    /// All fingerprint templates. Where a terminal has not the memory to tell them at once, they
    /// are asked for one by one, which takes ten requests for each user.
    pub async fn templates(&mut self) -> Result<Vec<Template>, Error> {
        let count = self.known_counters().await?.fingers;
        match self.read(ReadTemplates).await {
            Err(error) if super::methods::is_empty(&error, count) => Ok(Vec::new()),
            Err(error) if is_unsupported(&error) || is_short_of_memory(&error) => {
                self.templates_one_by_one().await
            }
            result => result,
        }
    }

    /// One template; `None` if the slot is empty.
    pub async fn template(&mut self, slot: Finger) -> Result<Option<Template>, Error> {
        match self.call(ReadTemplate(slot)).await {
            Ok(template) => Ok(Some(template)),
            Err(Error::Rejected {
                answer: Code::ACK_UNKNOWN | Code::ERROR_CMD,
                ..
            }) => self.template_by_old_command(slot).await,
            Err(error) => nothing_there(error),
        }
    }

    /// Writes one template. Whoever has one in this slot loses it; the user must exist. The
    /// version (`~ZKFPVersion`) must be the terminal's.
    pub async fn write_template(&mut self, template: &Template) -> Result<(), Error> {
        let slot = Finger {
            uid: template.uid,
            finger: template.finger,
        };
        self.delete_template(slot).await?;
        self.upload(&template.data).await?;
        let store = StoreTemplate {
            slot,
            flag: template.flag,
            size: u16::try_from(template.data.len()).unwrap_or(u16::MAX),
        };
        let stored = self.call(store).await;
        let freed = self.call(FreeBuffer).await;
        stored?;
        freed?;
        self.call(RefreshData).await
    }

    /// Deletes one template, by internal number; whether there was one.
    ///
    /// The usual command deletes all templates of a user on some firmware if the finger is 0. That one
    /// is deleted by user id instead, where the terminal knows how.
    pub async fn delete_template(&mut self, slot: Finger) -> Result<bool, Error> {
        let by_id = match slot.finger {
            0 => self.delete_template_by_id(slot).await?,
            _ => None,
        };
        let deleted = match by_id {
            Some(deleted) => deleted,
            None => was_there(self.call(DeleteTemplate(slot)).await)?,
        };
        self.call(RefreshData).await?;
        Ok(deleted)
    }

    /// Whether there was one; `None` where the user or the command is unknown.
    async fn delete_template_by_id(&mut self, slot: Finger) -> Result<Option<bool>, Error> {
        let users = self.users().await?;
        let Some(user) = users.iter().find(|user| user.uid == slot.uid) else {
            return Ok(None);
        };
        let request = DeleteTemplateOf {
            user_id: user.user_id,
            finger: slot.finger,
        };
        match self.call(request).await {
            Err(Error::Rejected {
                answer: Code::ACK_UNKNOWN | Code::ERROR_CMD,
                ..
            }) => Ok(None),
            result => was_there(result).map(Some),
        }
    }

    /// A photo by its file name, such as `123.jpg`, on terminals that keep some; `None` if there is none
    /// of this name.
    pub async fn photo(&mut self, name: &str) -> Result<Option<Bytes>, Error> {
        match self.call(ReadPhoto { name }).await {
            Ok(photo) => Ok(Some(photo)),
            Err(Error::Rejected {
                answer: Code::ERR_4985,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes users and templates together. Users are replaced by internal number.
    pub async fn upload_all(&mut self, upload: &BulkUpload) -> Result<(), Error> {
        self.upload(&upload.encode()).await?;
        self.call(SaveUploaded).await?;
        self.counters = None;
        self.call(RefreshData).await
    }

    /// All faces of one user, on iFace terminals. Visible-light terminals do not tell faces here.
    pub async fn faces(&mut self, uid: u16) -> Result<Vec<Face>, Error> {
        let selector = ReadFaces::ALL;
        match self.call(ReadFaces { uid, selector }).await {
            Ok(faces) => Ok(faces),
            Err(error) => Ok(nothing_there(error)?.unwrap_or_default()),
        }
    }

    /// Fills the upload buffer and proves that it arrived whole.
    async fn upload(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.call(FreeBuffer).await?;
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.call(PrepareUpload { size }).await?;
        for part in bytes.chunks(UploadPart::MOST) {
            self.call(UploadPart(part)).await?;
        }
        match self.call(ReadUploadHash).await {
            Ok(hash) if hash == upload_hash(bytes) => Ok(()),
            Ok(_) => {
                self.call(FreeBuffer).await?;
                Err(Error::NotKept {
                    request: UploadPart::CODE,
                })
            }
            // Firmware without the hash.
            Err(Error::Rejected { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn template_by_old_command(&mut self, slot: Finger) -> Result<Option<Template>, Error> {
        match self.call(ReadTemplateBare(slot)).await {
            Ok(data) => Ok(Some(Template {
                uid: slot.uid,
                finger: slot.finger,
                flag: crate::record::TemplateFlag::VALID,
                data,
            })),
            Err(error) => nothing_there(error),
        }
    }

    async fn templates_one_by_one(&mut self) -> Result<Vec<Template>, Error> {
        let mut templates = Vec::new();
        for user in self.users().await? {
            for finger in 0..FINGERS {
                let uid = user.uid;
                templates.extend(self.template(Finger { uid, finger }).await?);
            }
        }
        Ok(templates)
    }
}

/// Whether there was something to delete.
fn was_there(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(error) => nothing_there::<()>(error).map(|_| false),
    }
}

/// An empty slot is refused like many other things; the codes are those seen for it.
fn nothing_there<T>(error: Error) -> Result<Option<T>, Error> {
    match error {
        Error::Rejected {
            answer: Code::ACK_ERROR | Code::ERR_4993 | Code::ERR_4991 | Code::ERR_4992,
            ..
        } => Ok(None),
        error => Err(error),
    }
}

fn is_short_of_memory(error: &Error) -> bool {
    matches!(
        error,
        Error::Rejected {
            request: Code::PREPARE_BUFFER,
            answer: Code::ERR_4987 | Code::ERR_4988 | Code::ERR_NO_DATA,
        }
    )
}
