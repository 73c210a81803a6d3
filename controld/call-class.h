/* What may be done about a call of the database whose answer was lost, by function. */
#pragma once

#include <stdbool.h>

typedef enum CallClass {
        CALL_ONCE, /* it may have been done, and would be done again, or be refused because it was: a person must look */
        CALL_SAFE, /* it reads, or a repeat changes nothing and answers the same */
        CALL_KEYED, /* the same, when the request has an Idempotency-Key */
} CallClass;

/* CALL_ONCE for what is not in the table. */
CallClass call_class(const char *statement);
bool call_is_classified(const char *statement);
