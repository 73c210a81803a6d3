/* The head of an HTTP/1.1 answer, as far as the swarm reads it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX 8192U

typedef struct HttpHead {
        unsigned status;
        unsigned retry_after_sec;
        size_t size;      /* of the head, with the empty line */
        size_t body_size; /* Content-Length, 0 without one */
        bool close;
} HttpHead;

/* 1 when the head is whole, 0 when more is to come, -EBADMSG when it is none, -EMSGSIZE when it is too large. */
int http_parse_head(const char *data, size_t size, HttpHead *ret);
