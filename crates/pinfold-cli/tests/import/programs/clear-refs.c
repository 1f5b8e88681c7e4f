/* Registers a buffer, and forgets what was stored to so far. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	int refs = must(open("/proc/self/clear_refs", O_WRONLY), "open clear_refs");
	must(write(refs, "4", 1), "write clear_refs");
	memset(buffer, 2, 4 * PAGE);
	unreg(fd);
	return 0;
}
