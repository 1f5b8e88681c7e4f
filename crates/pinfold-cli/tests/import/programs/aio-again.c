/* Reads by io_submit into one buffer: the first is over, the second under way at a fork. */
#include "aio.h"

int main(void)
{
	kernel();
	int fd = direct(O_RDONLY);
	char *buffer = pages(1);
	memset(buffer, 1, PAGE);
	aio_context_t context = start();
	submit(context, fd, buffer, 512);
	reap(context);
	submit(context, fd, buffer, 512);
	pid_t pid = child();
	buffer[1024] = 2;
	reap(context);
	must(waitpid(pid, NULL, 0), "waitpid");
	return 0;
}
