/* A page goes into a pipe by reference, and is filled again before the pipe is read. */
#include "common.h"

int main(void)
{
	int ends[2];
	char back[PAGE];

	kernel();
	must(pipe(ends), "pipe");
	char *buffer = pages(1);
	memset(buffer, 'a', PAGE);
	struct iovec part = { buffer, PAGE };
	must(vmsplice(ends[1], &part, 1, 0), "vmsplice");
	memset(buffer, 'b', PAGE);
	must(vmsplice(ends[1], &part, 1, 0), "vmsplice");
	must(read(ends[0], back, PAGE), "read");
	must(read(ends[0], back, PAGE), "read");
	return 0;
}
