//! Which processes serve this store, as far as they were heard of.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

use super::Store;
use super::entity::{lease, node};

/// A node that was not heard of for so long, in seconds, is forgotten.
const FORGOTTEN: i64 = 86_400;

impl Store {
    /// Says that a node is there.
    pub async fn announce(&self, node: node::Model) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        node::Entity::delete_many()
            .filter(node::Column::SeenAt.lt(node.seen_at - FORGOTTEN))
            .exec(&tx)
            .await?;
        node::Entity::insert(node.into_active_model().reset_all())
            .on_conflict(
                OnConflict::column(node::Column::Name)
                    .update_column(node::Column::SeenAt)
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await
    }

    /// Says that a node goes, and hands back whatever it still holds.
    pub async fn leave(&self, name: &str) -> Result<(), DbErr> {
        let tx = self.begin_beside().await?;
        lease::Entity::update_many()
            .col_expr(lease::Column::ExpiresAt, Expr::value(0))
            .filter(lease::Column::Holder.eq(name))
            .filter(lease::Column::ExpiresAt.gt(0))
            .exec(&tx)
            .await?;
        node::Entity::delete_by_id(name).exec(&tx).await?;
        super::bell::ring(&tx).await?;
        tx.commit().await
    }

    /// The nodes that were heard of, by name.
    pub async fn nodes(&self) -> Result<Vec<node::Model>, DbErr> {
        node::Entity::find()
            .order_by_asc(node::Column::StartedAt)
            .order_by_asc(node::Column::Name)
            .all(self.reader())
            .await
    }
}
