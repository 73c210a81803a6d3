/* controld's subcommands and options. */
#pragma once

/* The whole program: options, settings, subcommand. Returns the exit status. */
int controld_main(int argc, char *argv[]);
