/* The decoders of directive values, one for each type: from text to atoms, or -EINVAL or -ERANGE with words. Out of memory is kept in
 * the atoms. Inside common/directive*.c. */
#pragma once

#include "directive.h"

typedef int DirectiveDecoder(const Directive *d, const char *value, Atoms *to, Error *e);

/* directive-number.c */
DirectiveDecoder decode_bool, decode_size, decode_size_or_nothing, decode_share, decode_quota,
        decode_weight, decode_tasks, decode_span, decode_pause, decode_nsec, decode_number,
        decode_mode, decode_limit;
/* directive-name.c */
DirectiveDecoder decode_word, decode_code, decode_signal, decode_errno, decode_statuses,
        decode_mask, decode_set, decode_namespaces, decode_user, decode_stream;
/* directive-list.c */
DirectiveDecoder decode_environment, decode_variables, decode_users, decode_words, decode_filter,
        decode_syscalls, decode_cpus, decode_fields, decode_text, decode_base64, decode_exec;
/* directive-path.c */
DirectiveDecoder decode_file, decode_home, decode_path, decode_search_path, decode_marked_paths,
        decode_directories, decode_binds, decode_tmpfs, decode_device, decode_device_rate,
        decode_device_weight, decode_device_span, decode_credential;
/* directive-address.c */
DirectiveDecoder decode_addresses, decode_socket;

/* Name and signature of the row's property. */
void directive_property(const Directive *d, Atoms *to);

bool user_name_is_valid(const char *name);

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
