/* Signatures of webhooks. The two good ones are the examples of https://www.standardwebhooks.com (its reference implementations) and of
 * GitHub's documentation of X-Hub-Signature-256. */
#include <errno.h>
#include <stdio.h>

#include "../lib/tap.h"
#include "str.h"
#include "webhook.h"

#define STANDARD "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define GITHUB "It's a Secret to Everybody"

static const WebhookMessage standard = {
        .body = "{\"test\": 2432232314}",
        .size = 20,
        .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
        .timestamp = "1614265330",
        .signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
};
static const WebhookMessage github = {
        .body = "Hello, World!",
        .size = 13,
        .github_delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        .github_signature =
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
};

static const char *verify(const char *secret, WebhookMessage m) {
        static char text[256];
        WebhookVerdict v = {};
        Error e = {};
        int r = webhook_verify(secret, &m, &v, &e);

        if (r < 0)
                (void) snprintf(text, sizeof(text), "%s %s", r == -EACCES ? "refused" : "malformed",
                                e.slug);
        else
                (void) snprintf(text, sizeof(text), "%s %s %s", v.scheme, v.message,
                                v.timestamp ? v.timestamp : "-");
        return text;
}

static void test_signatures(void) {
        WebhookMessage m = standard;

        ok_str(verify(STANDARD, m),
               "standard msg_p5jXN8AQM9LWM0D4loKWxJek 1614265330"); /* a signed one */
        m.signature = "v2,x v1,bad v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,";
        ok_str(verify(STANDARD, m),
               "standard msg_p5jXN8AQM9LWM0D4loKWxJek 1614265330"); /* one of several signatures is enough */
        m.signature = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        ok_str(verify(STANDARD, m), "refused bad-signature"); /* a signature says its version */
        m.signature = "";
        ok_str(verify(STANDARD, m), "refused bad-signature"); /* an empty one is none */
        m = standard;
        m.body = "{\"test\": 2432232315}";
        ok_str(verify(STANDARD, m), "refused bad-signature"); /* another body */
        m = standard;
        m.timestamp = "1614265331";
        ok_str(verify(STANDARD, m), "refused bad-signature"); /* another time */
        m = standard;
        m.id = "msg_p5jXN8AQM9LWM0D4loKWxJel";
        ok_str(verify(STANDARD, m), "refused bad-signature"); /* another message */
        ok_str(verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", standard),
               "refused bad-signature"); /* another secret */
        ok_str(verify(GITHUB, github),
               "github 72d3162e-cc78-11e3-81ab-4c9367dc0958 -"); /* GitHub's */
        ok_str(verify("It's a Secret to everybody", github),
               "refused bad-signature"); /* another secret, GitHub's */
        m = github;
        m.size--;
        ok_str(verify(GITHUB, m), "refused bad-signature"); /* another body, GitHub's */
        m = github;
        m.github_signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        ok_str(verify(GITHUB, m), "refused bad-signature"); /* without its algorithm */
        ok_str(verify(GITHUB, (WebhookMessage){ .body = "", .size = 0 }),
               "refused bad-signature"); /* nothing is signed */
}

static void test_malformed(void) {
        WebhookMessage m = standard;
        char name[300];

        m.timestamp = "yesterday";
        ok_str(verify(STANDARD, m), "malformed bad-timestamp"); /* a time that is none */
        m.timestamp = NULL;
        ok_str(verify(STANDARD, m), "malformed bad-timestamp"); /* no time */
        m = standard;
        m.id = NULL;
        ok_str(verify(STANDARD, m), "malformed bad-message-id"); /* no name */
        m.id = "a\tb";
        ok_str(verify(STANDARD, m), "malformed bad-message-id"); /* a name with a tab */
        (void) memset(name, 'x', sizeof(name));
        name[256] = '\0';
        m.id = name;
        ok_str(verify(STANDARD, m), "malformed bad-message-id"); /* a name that is too long */
        m = github;
        m.github_delivery = "";
        ok_str(verify(GITHUB, m), "malformed bad-message-id"); /* an empty name */
}

static void test_secrets(void) {
        char a[WEBHOOK_SECRET_SIZE], b[WEBHOOK_SECRET_SIZE], id[WEBHOOK_KEY_ID_SIZE],
                other[WEBHOOK_KEY_ID_SIZE];

        ok_true(webhook_secret("key", "0190", a) == 0 &&
                webhook_secret("key", "0190", b) == 0); /* a secret is derived */
        ok_str(a, b);                                   /* always the same */
        ok_true(strlen(a) == WEBHOOK_SECRET_SIZE - 1 &&
                str_after(a, "whsec_")); /* in Standard Webhooks' form */
        ok_true(webhook_secret("key", "0191", b) == 0 &&
                !str_eq(a, b)); /* each webhook has its own */
        ok_true(webhook_secret("kex", "0190", b) == 0 && !str_eq(a, b)); /* and each key others */
        ok_true(webhook_key_id("key", id) == 0 && webhook_key_id("kex", other) == 0 &&
                strlen(id) == WEBHOOK_KEY_ID_SIZE - 1 &&
                !str_eq(id, other)); /* keys are told apart */
}

int main(void) {
        RUN(test_signatures);
        RUN(test_malformed);
        RUN(test_secrets);
        return tap_done();
}
