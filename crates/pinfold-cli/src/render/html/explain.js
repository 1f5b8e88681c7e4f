// The page of one execution: its report is in the page, as JSON.
picture(JSON.parse(document.getElementById("report").textContent), document, new AbortController().signal);
