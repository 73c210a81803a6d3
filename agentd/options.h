/* agentd's command line. */
#pragma once

#include "settings.h"

/* 0: go on; 1: the question on the command line is answered; negative: it is told what is wrong. */
int options_read(Settings *s, int argc, char *argv[]);
