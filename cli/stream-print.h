/* What a streaming pipe does, for people. */
#pragma once

#include "shapes.h"
#include "table.h"

/* A pipe that shall not run is as it should be. */
Colour stream_colour(const Stream *s);

/* Lines of text, each behind the prefix. */
void stream_print(const Stream *s, const char *prefix);
