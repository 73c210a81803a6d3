-- Last: what the daemon's role may execute. Everything in api but the administrator's functions; nothing in sluice.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA api, sluice FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO sluice_controld;
REVOKE EXECUTE ON FUNCTION api.token_create(text, text, bytea) FROM sluice_controld;
SELECT api.maintain();
