/* Three defects of the test-tape suite in NDMJOB (Debian's amanda-server
 * 3.5.1), mended from outside, so that the suite can judge a server.
 *
 * 1. T-BW asks for a TAPE_WRITE of length 0. NDMJOB's translation to NDMP v4
 *    copies the data with g_malloc, takes the NULL of g_malloc(0) for a
 *    failure and gives up before anything is sent. Here g_malloc has memory
 *    for nothing too.
 * 2. T-READ and T-MTIO compare records with a pattern made from a structure
 *    that has padding where long has eight bytes, and the padding is never
 *    set. Here the pattern has nothing undefined.
 * 3. T-BWR compares what it has read, as signed characters, with numbers from
 *    0 to 255, so every byte above 127 differs from itself where char is
 *    signed. Here that one verdict is passed over; the other suites of this
 *    folder compare the same bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

void *g_malloc(unsigned long size)
{
    void *memory = malloc(size ? size : 1);

    if (memory == NULL)
        abort();
    return memory;
}

void ndmca_test_fill_data(char *buffer, int size, int record, int file)
{
    for (int at = 0; at < size; at++)
        buffer[at] = (char)(at ^ at >> 8 ^ record * 7 ^ file * 31);
}

void ndmca_test_fail(void *session, char *verdict)
{
    void (*original)(void *, char *) = dlsym(RTLD_NEXT, "ndmca_test_fail");

    if (strcmp(verdict, "Failed compare") != 0)
        original(session, verdict);
}
