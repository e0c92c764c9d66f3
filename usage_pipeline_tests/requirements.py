"""What was wished for, by the section of the requirements page that must have a row for it."""

from typing import Final

WISHES: Final = {
    "The source: chat_messages_v2": (
        "`id`", "`conversation_id`", "`sender_user_id`", "`sender_agent_id`", "`role`", "`content`",
        "`metadata`", "`created_at`", "`updated_at`", "`metadata.tokens`", "`metadata.processing_time_ms`",
        "`completion_tokens`", "`processingDetails.llm_calls`", "GIN", "millions of rows",
    ),
    "The source: conversation_sessions and profiles": (
        "`conversation_sessions.conversation_id`", "`conversation_sessions.user_id`",
        "`conversation_sessions.agent_id`", "`conversation_sessions.message_count`",
        "`conversation_sessions.last_active`", "`conversation_sessions.total_tokens_used`",
        "`conversation_sessions.created_at`", "`profiles.full_name`", "`profiles.created_at`",
    ),
    "The options": (
        "option A, query on demand: always accurate", "AI responses only", "extraction",
        "no historical snapshots", "all users", "option B, ", "indexes", "stale", "locks", "option C, ",
        "snapshots preserved", "period types", "additional metrics", "chat writes", "cost",
    ),
    "The table: columns of user_token_usage": (
        "`id`", "`user_id`", "`period_start`", "`period_end`", "`period_type`", "`total_prompt_tokens`",
        "`total_completion_tokens`", "`total_tokens`", "`message_count`", "`conversation_count`",
        "`agent_ids`", "`last_activity`", "`created_at`", "`updated_at`",
    ),
    "The table: key and indexes": (
        "`UNIQUE(user_id, period_start, period_type)`", "`idx_token_usage_user_period`",
        "`idx_token_usage_period`", "`idx_token_usage_updated`",
    ),
    "Updating it": (
        "trigger", "cron job", "on-demand recalculation of one user",
        "`aggregate_user_token_usage(p_user_id, p_period_start, p_period_end, p_period_type)`", "`::INTEGER`",
        "`COUNT(*)`", "half-open", "`ON CONFLICT … DO UPDATE`",
    ),
    "Partitioning": (
        "by `period_start`", "10M rows", "pruning", "archival", "vacuum",
    ),
    "Retention policy": (
        "raw messages: retain indefinitely", "daily aggregates: retain 90 days",
        "monthly aggregates: retain 24 months", "yearly aggregates: retain indefinitely", "cron job",
    ),
    "Row-level security": (
        "for admins only", "`admin_view_all_token_usage`", "`user_view_own_token_usage`", "only the system",
    ),
    "Migration strategy": (
        "phase 1: create the table", "phase 1: create the function", "phase 1: create RLS policies",
        "phase 1: add indexes", "phase 2: a backfill script", "batches of 1000 users", "oldest to newest",
        "resume if interrupted", "daily at midnight", "the previous day",
        "`database/schema/current_remote_schema.sql`", "touch related tables", "reversal: drop the table",
        "reversal: drop the function", "reversal: restore",
    ),
    "Recommendations and action items": (
        "performance", "flexibility", "scalability", "historical data", "cost-effective", "a daily job",
        "store multiple period types", "activity metrics", "plan for partitioning", "RLS", "item 1", "item 2",
        "item 3", "item 4", "item 5", "references",
    ),
    "Enhanced ApiUsage table": (
        "`method`", "`response_time`", "`request_size`", "`response_size`", "`error_type`", "`error_message`",
        "`cost_credits`", "`cached`", "`user_id`", "`statusCode`", "5 composite indexes",
        "with its performance", "with its details",
    ),
    "ApiUsageAggregate: what it is for": (
        "hourly", "daily", "monthly", "success and error counts", "response time", "error breakdown",
        "cost tracking",
    ),
    "ApiUsageAggregate: columns": (
        "`apiName`", "`aggregationType`", "`periodStart`", "`periodEnd`", "`totalRequests`", "`successCount`",
        "`errorCount`", "`cachedCount`", "`avgResponseTime`", "`maxResponseTime`", "`minResponseTime`",
        "`rateLimitErrors`", "`timeoutErrors`", "`serverErrors`", "`totalCost`",
    ),
    "ApiAlert": (
        "`apiName`", "`alertType`", "`threshold`", "`period`", "`enabled`", "80 %", "cost thresholds",
        "error spike", "per API and per period",
    ),
    "Applying it, speed, rollback, next steps": (
        "development and production", "verify", "regenerate", "7 APIs", "memory", "database load",
        "mark the migration", "drop `api_alerts`", "added columns", "tracking calls", "cron job",
        "configure alerts", "the UI",
    ),
    "What it does": (
        "Dagster project", "daily-partitioned", "per-user", "per-API", "weekly", "monthly", "yearly",
        "retention", "rate-limit warnings", "cost thresholds", "error spikes", "partition ranges",
    ),
    "Who uses it": (
        "operator", "lineage", "queries aggregates", "an admin", "an end user", "application developer",
    ),
    "What it is made of": (
        "Python", "`dagster`", "`dagster-webserver`", "`dagster-postgres`", "`pandas`", "`sqlalchemy`",
        "`psycopg`", "`pytest`", "`pyproject.toml`", "`usage_pipeline/`", "`usage_pipeline_tests/`",
        "`workspace.yaml`", "`dagster.yaml`", "`README.md`",
    ),
}  # fmt: skip
