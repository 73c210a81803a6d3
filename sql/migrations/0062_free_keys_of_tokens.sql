-- 0062_free_keys_of_tokens.sql
-- Why:    for each Idempotency-Key the row of its token was looked up and locked again, by every worker that made runs for the same caller. Tokens
--         are revoked, never deleted, and a key has its day only; the function that keeps it has just read the token.
-- Locks:  sluice.idempotency ACCESS EXCLUSIVE, sluice.token SHARE ROW EXCLUSIVE, for a moment.
-- Compat: the previous controld keeps no key of a token that is not there either.

ALTER TABLE sluice.idempotency DROP CONSTRAINT idempotency_token_fkey;
