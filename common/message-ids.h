/* Identifiers of the messages that an operator might alert on; units/catalog/sluice.catalog explains each. Made by
 * `systemd-id128 new`, never used again. */
#pragma once

#define MSG_CERTIFICATE_BAD "d388f8044c0d4387897322cff54b3639"
#define MSG_WORKER_DIED "1b889d0d3c72493e80fb86f2ee960563"
#define MSG_POSTGRESQL_DIED "c633ed5c069a4d5c9052cfbcbb9e273e"
#define MSG_MIGRATED "0d8cd54a86554d7eadc3d2a68c960803"
#define MSG_AGENT_ENROLLED "7c6114fffb654131ae7b76d82b2e068d"
#define MSG_ATTEMPT_ENDED "f06f2b8674bc4be6a4a28ea2fcebe603"
#define MSG_ATTEMPT_REFUSED "2ac22faf0cf442e5a16a5d280e4811f5"
#define MSG_ATTEMPT_STUCK "9461d075dc5a402f8aeb9ee69315ff4f"
#define MSG_CREDENTIAL_REFUSED "1c5d37d257ed4a209d48171bd442c1c7"
#define MSG_CONTROL_LOST "31eb238606ff4dd3987fb802b4d8fc00"
#define MSG_AGENT_QUARANTINED "1c7a7160ed054ac6aa0cc5dcf606d27c"
#define MSG_SCHEDULE_LATE "ee75ed01b16449529c936b304271b15a"
#define MSG_SCHEDULE_ON_TIME "7005ebc27d624a8cbe9a7e037780f548"
#define MSG_CONTROL_BACK "bcbe8e999d114df499be67b8d8a6cde9"
