-- What looks like a secret is not stored. The same as common/secret.c, which says it before anything is sent; a test holds the two together.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.secret_shapes() RETURNS TABLE (what text, pattern text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        VALUES
        ('a private key', '-----BEGIN [A-Z0-9 ]*PRIVATE KEY'),
        ('an AWS access key', '(^|[^A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{16}($|[^A-Za-z0-9])'),
        ('a GitHub token', 'gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}'),
        ('a GitLab token', 'glpat-[A-Za-z0-9_\-]{20}'),
        ('a Slack token', 'xox[abeoprs]-[A-Za-z0-9\-]{10}'),
        ('a Google API key', 'AIza[A-Za-z0-9_\-]{35}'),
        ('a Stripe key', '[rs]k_live_[A-Za-z0-9]{16}'),
        ('an API key', '(^|[^A-Za-z0-9])sk-[A-Za-z0-9_\-]{32}'),
        ('an npm token', 'npm_[A-Za-z0-9]{36}'),
        ('a PyPI token', 'pypi-[A-Za-z0-9_\-]{50}'),
        ('a JSON web token', 'eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}'),
        ('a token or key of Sluice', 'sluice_[a-z]k_[A-Za-z0-9_\-]{43}'),
        ('an address with a password', '[A-Za-z][A-Za-z0-9+.\-]*://[^/?#@: ]*:[^/?#@ $]+@'),
        ('a password', '(^|[^A-Za-z])[Pp]ass(word|wd)=[^ $]')
$$;

CREATE OR REPLACE FUNCTION sluice.secret_names() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT '(passw(or)?d|passphrase|(^|_)(secret|token|credentials?|(api|access|private|secret)_?key))$'
$$;

-- What the value looks like, or its name says that it is; NULL: nothing of the kind.
CREATE OR REPLACE FUNCTION sluice.secret_like(p_name text, p_value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
        IF lower(p_name) ~ sluice.secret_names() COLLATE "C" THEN
                RETURN 'the name of a secret';
        END IF;

        RETURN (SELECT s.what FROM sluice.secret_shapes() s WHERE p_value ~ s.pattern COLLATE "C" LIMIT 1);
END
$$;
