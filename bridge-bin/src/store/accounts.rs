//! People who may log in, their sessions, single-use login links, and tokens of programs.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder,
};

use super::Store;
use super::entity::{account, api_token, login_link, web_session};
use crate::failure::Failure;

impl Store {
    /// The account called `name`.
    pub async fn account(&self, name: &str) -> Result<Option<account::Model>, DbErr> {
        account::Entity::find()
            .filter(account::Column::Name.eq(name))
            .one(self.reader())
            .await
    }

    /// The account with this id.
    pub async fn account_by_id(&self, id: i64) -> Result<Option<account::Model>, DbErr> {
        account::Entity::find_by_id(id).one(self.reader()).await
    }

    /// Whether an administrator exists; until then everything stays on loopback.
    pub async fn has_administrator(&self) -> Result<bool, DbErr> {
        Ok(account::Entity::find()
            .filter(account::Column::Role.eq("admin"))
            .count(self.reader())
            .await?
            > 0)
    }

    /// Adds an account.
    pub async fn add_account(
        &self,
        name: &str,
        role: &str,
        password_hash: String,
        now: i64,
    ) -> anyhow::Result<account::Model> {
        let tx = self.begin().await?;
        if account::Entity::find()
            .filter(account::Column::Name.eq(name))
            .one(&tx)
            .await?
            .is_some()
        {
            return Err(Failure::new(
                "account_exists",
                format!("An account called {name:?} exists already."),
                "Choose another name.",
            )
            .into());
        }
        let row = account::ActiveModel {
            id: NotSet,
            name: Set(name.to_owned()),
            role: Set(role.to_owned()),
            password_hash: Set(password_hash),
            created_at: Set(now),
        };
        let row = row.insert(&tx).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Adds a token for a program, by its hash.
    pub async fn add_token(
        &self,
        name: &str,
        role: &str,
        token_hash: &str,
        now: i64,
    ) -> anyhow::Result<()> {
        let tx = self.begin().await?;
        let known = api_token::Entity::find()
            .filter(api_token::Column::Name.eq(name))
            .count(&tx)
            .await?;
        if known > 0 {
            return Err(Failure::new(
                "token_exists",
                format!("A token called {name:?} exists already."),
                "Choose another name, or remove that one: `zk-bridge admin token remove`.",
            )
            .into());
        }
        let row = api_token::ActiveModel {
            id: NotSet,
            name: Set(name.to_owned()),
            role: Set(role.to_owned()),
            token_hash: Set(token_hash.to_owned()),
            created_at: Set(now),
        };
        row.insert(&tx).await?;
        Ok(tx.commit().await?)
    }

    /// The token with this hash.
    pub async fn token(&self, token_hash: &str) -> Result<Option<api_token::Model>, DbErr> {
        api_token::Entity::find()
            .filter(api_token::Column::TokenHash.eq(token_hash))
            .one(self.reader())
            .await
    }

    /// All tokens, by name.
    pub async fn tokens(&self) -> Result<Vec<api_token::Model>, DbErr> {
        api_token::Entity::find()
            .order_by_asc(api_token::Column::Name)
            .all(self.reader())
            .await
    }

    /// Removes a token; `false` if there is none of that name.
    pub async fn remove_token(&self, name: &str) -> Result<bool, DbErr> {
        let tx = self.begin().await?;
        let removed = api_token::Entity::delete_many()
            .filter(api_token::Column::Name.eq(name))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(removed.rows_affected > 0)
    }

    /// Stores a single-use login link by the hash of its token.
    pub async fn add_login_link(
        &self,
        token_hash: &str,
        account_id: i64,
        expires_at: i64,
    ) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        let row = login_link::ActiveModel {
            token_hash: Set(token_hash.to_owned()),
            account_id: Set(account_id),
            expires_at: Set(expires_at),
        };
        login_link::Entity::insert(row)
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await
    }

    /// Uses a login link up; the account it was for, if it was still good.
    pub async fn use_login_link(
        &self,
        token_hash: &str,
        now: i64,
    ) -> Result<Option<account::Model>, DbErr> {
        let tx = self.begin().await?;
        let Some(link) = login_link::Entity::find_by_id(token_hash).one(&tx).await? else {
            return Ok(None);
        };
        login_link::Entity::delete_by_id(token_hash)
            .exec(&tx)
            .await?;
        login_link::Entity::delete_many()
            .filter(login_link::Column::ExpiresAt.lte(now))
            .exec(&tx)
            .await?;
        let account = if link.expires_at > now {
            account::Entity::find_by_id(link.account_id)
                .one(&tx)
                .await?
        } else {
            None
        };
        tx.commit().await?;
        Ok(account)
    }

    /// Stores a web session.
    pub async fn save_session(&self, id: &str, data: String, expires_at: i64) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        let row = web_session::ActiveModel {
            id: Set(id.to_owned()),
            data: Set(data),
            expires_at: Set(expires_at),
        };
        web_session::Entity::insert(row)
            .on_conflict(
                OnConflict::column(web_session::Column::Id)
                    .update_columns([web_session::Column::Data, web_session::Column::ExpiresAt])
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await
    }

    /// A web session that has not ended.
    pub async fn session(&self, id: &str, now: i64) -> Result<Option<String>, DbErr> {
        let found = web_session::Entity::find_by_id(id)
            .one(self.reader())
            .await?;
        Ok(found.filter(|row| row.expires_at > now).map(|row| row.data))
    }

    /// Ends a web session, and clears away those that ended by themselves.
    pub async fn delete_session(&self, id: &str, now: i64) -> Result<(), DbErr> {
        let tx = self.begin().await?;
        web_session::Entity::delete_many()
            .filter(
                Condition::any()
                    .add(web_session::Column::Id.eq(id))
                    .add(web_session::Column::ExpiresAt.lte(now)),
            )
            .exec(&tx)
            .await?;
        tx.commit().await
    }
}
