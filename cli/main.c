/* sluicectl: see sluicectl(1). */
#include "verbs.h"

int main(int argc, char *argv[]) {
        return sluicectl_main(argc, argv);
}
