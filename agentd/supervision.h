/* What PID 1 says of a service that it supervises, as far as the control plane is told. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "unit.h"

typedef struct Supervision {
        bool ready; /* it has been active: with Type=notify, it has said so */
        uint32_t restarts;
        char status_text[STATUS_TEXT_SIZE];
} Supervision;

/* True when there is news. */
bool supervision_note(Supervision *s, const UnitState *unit);

/* Why nothing more comes of a service that has failed, or NULL; owned by the caller. */
char *supervision_reason(const UnitState *unit);
