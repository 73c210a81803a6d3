/* A pipe file of the caller's. */
#pragma once

#include "pipe.h"

typedef struct PipeFile {
        char *name; /* owned: the pipe's, from the file's */
        char *text; /* owned */
        size_t size;
        Pipe *pipe; /* owned */
        char version[PIPE_VERSION_SIZE];
} PipeFile;

/* Reads and checks it; tells on stderr whatever is wrong. */
int pipe_file_read(const char *path, PipeFile *ret);
void pipe_file_done(PipeFile *f);
