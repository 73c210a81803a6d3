/* controld: the control plane. Everything is in libcontrold, so that tests link the daemon. */
#include "commands.h"

int main(int argc, char *argv[]) {
        return controld_main(argc, argv);
}
